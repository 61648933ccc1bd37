"""Answers of a peer behind an OpenAI-compatible endpoint: the pictures, the question, the options, one reply.

What a reply chose is read by `reading`, and what isn't read is no answer. Nothing is retried that was understood and
refused.
"""

import base64
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from components.benchmark.reading import chosen, told
from components.data.vqa.item import Item
from model.interface.errors import BadInput
from model.interface.prompt import user_text

CLOSED = "Answer with the letter of the right option, a full stop, and its text, and nothing else."
OPEN = "Answer in a few words and nothing else."
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
LOCAL = ("localhost", "127.0.0.1", "::1")


class EndpointConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Up to and without /chat/completions: "http://localhost:8000/v1". Pictures of patients go there: plain http only
    to this machine."""
    model: str
    key_variable: str = "URM_BENCHMARK_KEY"
    """Environment variable that holds the key; none is sent where it is empty."""
    timeout_s: float = Field(default=120, gt=0)
    """Of one try."""
    tries: int = Field(default=3, ge=1, le=10)
    pause_s: float = Field(default=1.0, ge=0)
    """Before the second try; doubled before each further one."""
    most_tokens: int = Field(default=1024, ge=1)
    """Sampled tokens a reply may have."""
    largest_reply: int = Field(default=1 << 18, ge=256)
    """Bytes read of a reply."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back to one question."""

    letter: str | None
    text: str
    """What was answered in words; "" where nothing came."""
    error: str = ""
    """Why nothing came."""


class Endpoint:
    """Raises BadInput for an address that can't be used; an endpoint that fails raises nothing."""

    def __init__(self, config: EndpointConfig) -> None:
        parts = urlsplit(config.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            where = "url: found another form, wanted http(s)://host/v1, without a key in it"
            raise BadInput("not an endpoint", where=where, next="correct the URL")
        if parts.scheme == "http" and parts.hostname not in LOCAL:
            where = "url: found http to another machine, wanted https"
            raise BadInput("pictures would travel unencrypted", where=where, next="use https")
        key = os.environ.get(config.key_variable, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # neither proxies nor .netrc of the environment: the key goes to this host alone
        self.client = httpx.Client(headers=headers, timeout=config.timeout_s, trust_env=False)
        self.config, self.url = config, f"{config.url.rstrip('/')}/chat/completions"

    def say(self, item: Item, pictures: Sequence[bytes]) -> Said:
        """pictures: PNG, in the order the question counts them."""
        shown = [f"data:image/png;base64,{base64.b64encode(picture).decode()}" for picture in pictures]
        words = f"{user_text(item.text, item.options)}\n\n{CLOSED if item.options else OPEN}"
        turn = [{"type": "image_url", "image_url": {"url": url}} for url in shown] + [{"type": "text", "text": words}]
        reason = ""
        for k in range(self.config.tries):
            if k:
                time.sleep(self.config.pause_s * 2 ** (k - 1))
            try:
                status, body = self._post(turn)
            except httpx.HTTPError as error:
                reason = "too late" if isinstance(error, httpx.TimeoutException) else "no connection"
                continue
            if status == 200:
                return _read(body, item.options)
            reason = f"status {status}"
            if status not in RETRIED:
                break
        return Said(None, "", reason)

    def _post(self, turn: list[dict]) -> tuple[int, bytes]:
        asked = {
            "model": self.config.model,
            "messages": [{"role": "user", "content": turn}],
            "temperature": 0,
            "max_tokens": self.config.most_tokens,
        }
        body = bytearray()
        with self.client.stream("POST", self.url, json=asked) as reply:
            for piece in reply.iter_bytes():
                body += piece
                if len(body) > self.config.largest_reply:
                    return 413, b""
        return reply.status_code, bytes(body)


def _read(body: bytes, options: Sequence[str]) -> Said:
    try:
        said = httpx.Response(200, content=body).json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return Said(None, "", "not a chat completion")
    if not isinstance(said, str):
        return Said(None, "", "not a chat completion")
    return Said(chosen(said, options), told(said))
