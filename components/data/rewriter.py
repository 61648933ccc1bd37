"""A model behind an OpenAI-compatible endpoint may say a trace in other words; never needed, never trusted.

Of each reply only the words of the thought are new. It is taken when the one grammar reads the same boxes and the same
answer from it, and when each stretch of words up to a box keeps its own facts: names, sides, numbers, relations, what
is denied. Anything else (too late, too long, no JSON, other boxes, a word to a reader) leaves the trace as it was, and
is counted by reason.

The facts are words on a list. A wrong finding said in words of no list passes: let people read a sample.
"""

import asyncio
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from threading import Lock
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from components.data.labels import NAMES
from components.data.lesions import KINDS
from model.interface.errors import BadInput
from model.interface.grammar import BOX, THINK_CLOSE, THINK_OPEN, parse

INSTRUCTION = (
    "You rephrase a radiologist's reasoning. Reply with the same text in other words and nothing else. Keep <think>, "
    "</think>, every <|box_start|>[numbers]<|box_end|> and everything after </think> exactly as they are and in their "
    "order. Keep every name, side, number, comparison and negation where it stands. Add no finding."
)
SIDE_WORDS = re.compile(r"\b(left|right|bilateral)\b")
NUMBERS = re.compile(r"\d+(?:\.\d+)?|\b(?:two|three|four|five|six|seven|eight|nine|ten|several|single|both)\b")
"""Not "one", which is a pronoun too ("the left one"); whoever makes several of it, or it of several, is found."""
DENIALS = re.compile(r"\b(?:no|not|none|without|absent|neither|never|isn't|aren't|cannot|can't|lacks?)\b")
RELATIONS = {
    "larger": r"larger|bigger|greater|exceeds", "smaller": r"smaller|lesser", "above": r"above|superior",
    "below": r"below|beneath|inferior", "before": r"in front of|anterior", "behind": r"behind|posterior",
    "inside": r"inside|within", "outside": r"outside",
}  # fmt: skip
"""Fact -> its words, whole ones."""
RELATED = re.compile("|".join(rf"(?P<{fact}>\b(?:{spelled})\b)" for fact, spelled in RELATIONS.items()))
FOREIGN = re.compile(
    r"<|>|\||```|https?:|\b(?:ignore|disregard|instructions?|prompt|system|assistant|user|as an ai|language model)\b"
)
"""What hardly a rationale holds once its boxes are taken out: tags, code, links, and words to whoever reads it."""
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
    """Budget of a run, tries counted; traces beyond it stay as they are."""
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

    def count(self, one: Rewritten) -> None:
        if one.refused:
            self.refused[one.refused] += 1
        else:
            self.accepted += 1

    def render(self) -> str:
        lines = [f"{self.accepted} rewritten, {self.refused.total()} left as they were, {self.calls} calls"]
        return "\n".join([*lines, *(f"  {n}: {reason}" for reason, n in self.refused.most_common())])


def rewrite(
    traces: Iterable[str], config: RewriterConfig, summary: Summary, names: Sequence[str] = (*NAMES[1:], *KINDS)
) -> Iterator[Rewritten]:
    """Each trace, rewritten or as it was, in order. No more of `traces` is taken than is under way.

    traces: whole ones, "<think>…</think>B. text". names: of all that could be spoken of. Raises BadInput for an
    endpoint that can't be used; an endpoint that fails raises nothing.
    """
    stream, known = iter(traces), _names(names)
    endpoint = _Endpoint(config, summary)
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
    for old, new in zip(_stretches(before), _stretches(after), strict=True):
        if not set(FOREIGN.findall(new)) <= set(FOREIGN.findall(old)):
            return "words that no rationale holds"
        if old.strip() and not re.search(r"\w", new):
            return "a stretch without words"
        facts, found = _facts(old, names), _facts(new, names)
        for kind, fact in facts.items():
            if fact != found[kind]:
                return f"other {kind}"
    return ""


def _one(trace: str, endpoint: "_Endpoint", config: RewriterConfig, names: re.Pattern[str]) -> Rewritten:
    try:
        said = endpoint.say(trace)
    except _NoReply as error:
        return Rewritten(trace, str(error))
    reason = why_changed(trace, said, names, config.longest)
    return Rewritten(trace, reason) if reason else Rewritten(said)


def _stretches(text: str) -> list[str]:
    """The words of the thought before, between and after its boxes, lower case."""
    thought = text[text.index(THINK_OPEN) + len(THINK_OPEN) : text.index(THINK_CLOSE)]
    return BOX.sub("\0", thought).lower().split("\0")


def _facts(words: str, names: re.Pattern[str]) -> dict[str, object]:
    """What a stretch says; names, sides and relations in their order, or a comparison could be turned round."""
    return {
        "names": _in_order(names.findall(words)),
        "sides": _in_order(SIDE_WORDS.findall(words)),
        "numbers": Counter(NUMBERS.findall(words)),
        "relations": _in_order(str(found.lastgroup) for found in RELATED.finditer(words)),
        "denials": bool(DENIALS.search(words)),
    }


def _in_order(said: Iterable[str]) -> list[str]:
    """Without what is said twice in a row."""
    return [word for word, _ in groupby(said)]


def _names(names: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted({name.lower() for name in names if name}, key=lambda name: (-len(name), name))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b" if longest_first else r"(?!)")


class _NoReply(Exception):
    """Nothing usable came back; its text is the reason that is counted."""


class _Endpoint:
    """The one place that talks to it: bounded in time, size and number of calls; follows no redirect."""

    def __init__(self, config: RewriterConfig, summary: Summary) -> None:
        self.config, self.summary, self.lock = config, summary, Lock()
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
        with self.lock:
            if self.summary.calls >= self.config.most_calls:
                raise _NoReply("the budget is spent")
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
