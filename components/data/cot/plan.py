"""Which cases go into which shard of which split, and everything that may be set about a build."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.data.cot.studies import key_of
from components.data.cot.style import Style
from components.data.rewriter import RewriterConfig
from components.data.sources import registry
from components.data.sources.case import Case
from model.imaging import shards

SPLITS = ("train", "val", "test")
Many = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """An adapter of `components/data/sources`."""
    root: Path = Path()
    """Where the set lies; unused by the embedded anatomy."""
    cases: int | None = Field(default=None, ge=1)
    """Take only the first so many."""
    least_cnr: float = Field(default=0.0, ge=0)
    """See `studies.Cutting`."""


class CotConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[Source, ...] = (Source(name="embedded", cases=540, least_cnr=2.0),)
    """540 heads: about 17,000 questions about slices and 5,000 about volumes: a tenth of the paper's number."""
    out: Path = Path("cot")
    seed: int = Field(default=2026, ge=0)
    workers: int = Field(default=2, ge=1)
    cases_per_shard: int = Field(default=48, ge=2)
    """Questions meet their counter-questions inside a shard: the more cases, the fewer stay alone."""
    slices: int = Field(default=8, ge=0)
    """Cut from each volume."""
    questions: tuple[Many, Many] = (4.0, 10.0)
    """Most questions a slice and a volume, on average over a shard."""
    held_out: tuple[Share, Share] = (0.05, 0.1)
    """Shares of subjects in val and test, of a set that brings no split of its own; together under 1."""

    @field_validator("held_out")
    @classmethod
    def _leaves_some(cls, shares: tuple[float, float]) -> tuple[float, float]:
        if sum(shares) >= 1:
            raise ValueError("val and test together are all there is")
        return shares

    style: Style = Style()
    rewriter: RewriterConfig | None = None
    """An endpoint that may say rationales in other words; without one, and where it fails, the grammar's stay."""


@dataclass(frozen=True, eq=False)
class Shard:
    split: str
    number: int
    source: Source
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        return shards.part_of(self.split, self.number)


def plan(config: CotConfig) -> list[Shard]:
    """Every shard, in the order of sources and cases; cases are listed, not opened, and given the build's key."""
    made: list[Shard] = []
    count: Counter[str] = Counter()
    key = b""
    for source in config.sources:
        waiting: dict[str, list[Case]] = {split: [] for split in SPLITS}
        for case in islice(registry.adapter(source.name).cases(source.root), source.cases):
            key = key or key_of(case)
            waiting[split_of(case, config)].append(replace(case, key=key))
        for split, cases in waiting.items():
            n = -(-len(cases) // config.cases_per_shard)
            for k in range(n):  # of nearly the same size: a small last one would leave many questions alone
                some = cases[k * len(cases) // n : (k + 1) * len(cases) // n]
                made.append(Shard(split, count[split], source, tuple(some)))
                count[split] += 1
    return made


def split_of(case: Case, config: CotConfig) -> str:
    """The set's own, else drawn by person: nobody is in two."""
    if case.split:
        return {"train": "train", "val": "val", "validation": "val", "test": "test"}[case.split]
    told = hashlib.sha256(f"{config.seed}|{case.source}|{case.subject}".encode()).digest()
    at, (val, test) = int.from_bytes(told[:7], "big") / 2**56, config.held_out
    return "test" if at < test else "val" if at < test + val else "train"
