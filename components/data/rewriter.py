"""A model behind an OpenAI-compatible endpoint may say a trace in other words; never needed, never trusted.

Of each reply only the words of the thought are new. It is taken when the one grammar reads the same boxes and the same
answer from it, and when each stretch of words up to a box states what it stated (`stated.py`): names, sides, numbers,
relations, what is denied. Anything else (too late, too long, no JSON, other boxes, a word to a reader) leaves the trace
as it was, and is counted by reason.

The facts are words on a list. A wrong finding said in words of no list passes: let people read a sample.
"""

import asyncio
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from components.data.calls import Calls
from components.data.stated import any_of, why_other
from model.interface.errors import BadInput
from model.interface.grammar import BOX, THINK_CLOSE, THINK_OPEN, parse

INSTRUCTION = (
    "You rephrase a radiologist's reasoning. Reply with the same text in other words and nothing else. Keep <think>, "
    "</think>, every <|box_start|>[numbers]<|box_end|> and everything after </think> exactly as they are and in their "
    "order. Keep every name, side, number, comparison and negation where it stands. Add no finding."
)
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
LOCAL = ("localhost", "127.0.0.1", "::1")


class RewriterConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Of the endpoint, up to and without /chat/completions: "http://localhost:8000/v1"."""
    model: str
    key_variable: str = "URM_REWRITER_KEY"
    """Environment variable that holds the key; none is sent where it is empty."""
    timeout_s: float = Field(default=30, gt=0)
    """Of one try, from its start to the last byte."""
    tries: int = Field(default=3, ge=1, le=10)
    """Of each trace, the first included."""
    pause_s: float = Field(default=0.5, ge=0)
    """Before the second try; doubled before each further one."""
    most_calls: int = Field(default=10_000, ge=1)
    """Budget of a run, tries counted, over all its processes and however often it is stopped and goes on; traces beyond
    it stay as they are."""
    concurrency: int = Field(default=4, ge=1, le=64)
    largest_reply: int = Field(default=1 << 16, ge=256)
    """Bytes read of a reply."""
    longest: float = Field(default=2.5, ge=1)
    """Times the trace's own length."""
    temperature: float = Field(default=0.7, ge=0, le=2)


@dataclass(frozen=True, slots=True)
class Rewritten:
    text: str
    """The new words, or the trace as it was."""
    refused: str = ""
    """Why it stayed as it was; "" where it was rewritten."""


@dataclass(slots=True)
class Summary:
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""
    calls: int = 0
    """Those made for what is summed up here; a run may have made more."""

    def count(self, one: Rewritten) -> None:
        if one.refused:
            self.refused[one.refused] += 1
        else:
            self.accepted += 1

    def to_json(self) -> dict[str, Any]:
        return {"accepted": self.accepted, "refused": dict(sorted(self.refused.items())), "calls": self.calls}

    def render(self) -> str:
        lines = [f"{self.accepted} rewritten, {self.refused.total()} left as they were, {self.calls} calls"]
        return "\n".join([*lines, *(f"  {n}: {reason}" for reason, n in self.refused.most_common())])


def rewrite(
    traces: Iterable[str], config: RewriterConfig, summary: Summary, names: Iterable[str], calls: Calls
) -> Iterator[Rewritten]:
    """Each trace, rewritten or as it was, in order. No more of `traces` is taken than is under way.

    traces: whole ones, "<think>…</think>B. text". names: of all that could be spoken of. calls: what the run has
    left of its budget. Raises BadInput for an endpoint that can't be used; an endpoint that fails raises nothing.
    """
    stream, known = iter(traces), any_of(names)
    endpoint = _Endpoint(config, summary, calls)
    with ThreadPoolExecutor(config.concurrency) as pool:
        while some := list(islice(stream, 4 * config.concurrency)):
            for one in pool.map(lambda trace: _one(trace, endpoint, config, known), some):
                summary.count(one)
                yield one


def why_changed(before: str, after: str, names: re.Pattern[str], longest: float = 2.5) -> str:
    """Why a trace in other words can't stand for the one before, "" where it can."""
    was, now = parse(before), parse(after)
    if now.flaws:
        return "it can't be read"
    if BOX.findall(before) != BOX.findall(after) or now.evidence != was.evidence:
        return "other boxes"
    if (now.choice, now.text) != (was.choice, was.text):
        return "another answer"
    if len(after) > longest * len(before):
        return "too long"
    pairs = zip(_stretches(before), _stretches(after), strict=True)
    return next(filter(None, (why_other(old, new, names) for old, new in pairs)), "")


def _one(trace: str, endpoint: "_Endpoint", config: RewriterConfig, names: re.Pattern[str]) -> Rewritten:
    try:
        said = endpoint.say(trace)
    except _NoReply as error:
        return Rewritten(trace, str(error))
    reason = why_changed(trace, said, names, config.longest)
    return Rewritten(trace, reason) if reason else Rewritten(said)


def _stretches(text: str) -> list[str]:
    """The words of the thought before, between and after its boxes."""
    thought = text[text.index(THINK_OPEN) + len(THINK_OPEN) : text.index(THINK_CLOSE)]
    return BOX.sub("\0", thought).split("\0")


class _NoReply(Exception):
    """Nothing usable came back; its text is the reason that is counted."""


class _Endpoint:
    """The one place that talks to it: bounded in time, size and number of calls; follows no redirect."""

    def __init__(self, config: RewriterConfig, summary: Summary, calls: Calls) -> None:
        self.config, self.summary, self.calls, self.lock = config, summary, calls, Lock()
        key = os.environ.get(config.key_variable, "")
        _check(config, key)
        self.url = f"{config.url.rstrip('/')}/chat/completions"
        # nothing is inflated: a small reply could become a large one
        self.headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.tls = httpx.create_ssl_context(trust_env=False)

    def say(self, trace: str) -> str:
        """The reply's text; raises _NoReply."""
        reason = ""
        for k in range(self.config.tries):
            if k:
                time.sleep(self.config.pause_s * 2 ** (k - 1))
            self._spend()
            try:
                status, body = asyncio.run(self._post(trace))
            except TimeoutError:
                reason = "too late"
                continue
            except httpx.HTTPError:
                reason = "no connection"
                continue
            if status == 200:
                return _content(body)
            reason = "redirected" if 300 <= status < 400 else f"status {status}"
            if status not in RETRIED:
                break
        raise _NoReply(reason)

    def _spend(self) -> None:
        if not self.calls.spend():
            raise _NoReply("the budget is spent")
        with self.lock:
            self.summary.calls += 1

    async def _post(self, trace: str) -> tuple[int, bytes]:
        """(status, body), no more of it than is allowed; raises TimeoutError, also where bytes only drip."""
        config = self.config
        turns = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": trace}]
        asked = {"model": config.model, "messages": turns, "temperature": config.temperature, "stream": False}
        body = bytearray()
        # neither proxies nor .netrc of the environment: the key goes to this host alone
        async with (
            asyncio.timeout(config.timeout_s),
            httpx.AsyncClient(headers=self.headers, timeout=None, trust_env=False, verify=self.tls) as client,
            client.stream("POST", self.url, json=asked, follow_redirects=False) as reply,
        ):
            if reply.status_code != 200:
                return reply.status_code, b""
            async for piece in reply.aiter_raw():
                body += piece
                if len(body) > config.largest_reply:
                    raise _NoReply("the reply is too large")
        return 200, bytes(body)


def _content(body: bytes) -> str:
    """What the first choice says; raises _NoReply."""
    try:
        choice = json.loads(body)["choices"][0]
        said, ended = choice["message"]["content"], choice.get("finish_reason", "stop")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise _NoReply("not a chat completion") from error
    if not isinstance(said, str):
        raise _NoReply("not a chat completion")
    if ended != "stop":
        raise _NoReply("the reply was cut off")
    return said.strip()


def _check(config: RewriterConfig, key: str) -> None:
    parts = urlsplit(config.url)
    wanted = "http(s)://host/v1, without a key in it"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise BadInput("not an endpoint", where=f"url: found another form, wanted {wanted}", next="correct the URL")
    if key and parts.scheme == "http" and parts.hostname not in LOCAL:
        raise BadInput(
            "the key would travel unencrypted",
            where="url: found http to another machine, wanted https",
            next=f"use https, or unset {config.key_variable}",
        )
    if not key.isascii() or any(letter.isspace() for letter in key):
        raise BadInput(
            "the key can't be sent",
            where=f"{config.key_variable}: found spaces or other letters, wanted ASCII",
            next="set the variable again",
        )
