"""From segmentation sets to grounded reasoning data: a shard at a time, on any number of processes.

    plan -> shard (cases -> studies, sights -> proposals -> groups -> questions) -> receipts -> manifest

A shard's bytes depend on the seed, its cases and this code, not on the workers nor on the other shards. Its receipt is
written last: a build that was stopped, however hard, goes on with the first shard that has none.
"""

import base64
import hashlib
import json
import pickle
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.data import gates
from components.data.cot import exchange, families
from components.data.cot.families import Proposal
from components.data.cot.rewriting import rewritten
from components.data.cot.studies import Cutting, digest_of, studies
from components.data.cot.style import Style
from components.data.cot.wording import Words
from components.data.duplicates import LOOKED_AT, Print, print_of
from components.data.gates import Entry, Stored
from components.data.rewriter import RewriterConfig, Summary
from components.data.sources import registry
from components.data.sources.case import Case, Labelled
from model.imaging import shards
from model.imaging.prepare import prepare
from model.imaging.shards import Study
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question
from model.interface.writing import write_text

SPLITS = ("train", "val", "test")
RECEIPTS = "receipts"
CARD = ("card.md", "card.html", "card.png", "metrics.json")
OURS = re.compile(
    r"\.?(?P<shard>(train|val|test)-\d{5})(-studies\.parquet|-questions\.parquet|\.json)(?P<part>\.\d+\.part)?"
)
"""Names of what a build writes."""


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


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """What gates are told of a study once its pixels are gone."""

    study: str
    facts: Stored
    print: Print

    @classmethod
    def of(cls, study: Study) -> "Seen":
        return cls(study.id, Stored.of(study), print_of(prepare(study.volume, Contract())))

    def to_json(self) -> list[Any]:
        return [
            self.study,
            self.facts.subject,
            self.print.hashes,
            base64.b85encode(self.print.small.tobytes()).decode(),
        ]


def plan(config: CotConfig) -> list[Shard]:
    """Every shard, in the order of sources and cases; cases are listed, not opened."""
    made: list[Shard] = []
    count: Counter[str] = Counter()
    for source in config.sources:
        waiting: dict[str, list[Case]] = {split: [] for split in SPLITS}
        for case in islice(registry.adapter(source.name).cases(source.root), source.cases):
            waiting[split_of(case, config)].append(case)
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


def make(shard: Shard, config: CotConfig) -> dict[str, Any]:
    """Write a shard and its receipt; returns the receipt."""
    random = np.random.default_rng([config.seed, SPLITS.index(shard.split), shard.number])
    cutting = Cutting(config.slices, shard.source.least_cnr)
    proposed: list[Proposal] = []
    count: Counter[int] = Counter()
    warned: Counter[str] = Counter()
    seen: list[Seen] = []

    def stream() -> Iterator[Study]:
        for case in shard.cases:
            labelled = opened(case)
            warned.update(labelled.warnings)
            if labelled.sides == "patient":
                gates.check_sides([(case.study, labelled.outlines, labelled.volume.shape[0])])
            for study, sight in studies(case, labelled, cutting, shard.split, random):
                seen.append(Seen.of(study))
                count[study.volume.dimension] += 1
                proposed.extend(families.proposals(sight, random))
                yield study

    shards.write_studies(config.out, shard.name, stream())
    wanted = round(config.questions[0] * count[2]), round(config.questions[1] * count[3])
    met = exchange.groups(proposed, random, config.style.options)
    kept = exchange.chosen(met, wanted, random)
    made = exchange.questions(kept, Words(plain=config.style.plain), config.style, random)
    told = Summary()
    if config.rewriter:
        names = {thing.name for p in proposed for thing in p.sight.things} | {
            name for p in proposed for name in p.about
        }
        made = rewritten(made, config.rewriter, told, sorted(names))
    shards.write_questions(config.out, shard.name, made)
    gates.check_schema(made, {one.study: one.facts for one in seen})
    words = {"accepted": told.accepted, "refused": dict(sorted(told.refused.items()))} if config.rewriter else None
    more = {"warnings": dict(sorted(warned.items()))} | ({"rewritten": words} if words else {})
    return _receipt(shard, config, count, len(proposed), made, seen, more)


def opened(case: Case) -> Labelled:
    """Raises BadInput that also names the case: many sets call every image alike."""
    try:
        return case.open()
    except BadInput as error:
        where = f"{case.source}, case {case.study}: {error.where}"
        raise BadInput(error.what, where=where, next=error.next, safe="shards that are made are kept") from error


def run(config: CotConfig, report: Callable[[int, int, dict[str, Any]], None] = lambda *_: None) -> dict[str, Any]:
    """Make what is missing, seal the folder, return counts.

    report: called after each shard with (done, of, receipt). Raises BadInput of whatever a case can't be read for.
    """
    return make_all(plan(config), config, report)


def make_all(
    todo: Sequence[Shard], config: CotConfig, report: Callable[[int, int, dict[str, Any]], None] = lambda *_: None
) -> dict[str, Any]:
    """The shards of a plan, as `run`."""
    if not todo:
        raise BadInput("nothing to build from", where="sources, found no case, wanted some", next="name other sources")
    people = [Entry(case.study, case.source, case.subject, shard.split) for shard in todo for case in shard.cases]
    gates.check_people(people)
    gates.check_sets(people)
    _check_once(todo)
    _check_place(config.out)
    _forget_others(config.out, {shard.name for shard in todo})
    missing = [shard for shard in todo if not is_made(shard, config)]
    for name in (shards.MANIFEST, *(CARD if missing else ())):
        (config.out / name).unlink(missing_ok=True)  # neither is true of what is about to be made
    done = len(todo) - len(missing)
    for receipt in _made(missing, config):
        done += 1
        report(done, len(todo), receipt)
    receipts = [json.loads(receipt_file(config.out, shard.name).read_text()) for shard in todo]
    check_pictures(receipts, {digest_of(case): case.study for shard in todo for case in shard.cases})
    shards.seal(config.out)
    return summary(receipts)


def check_pictures(receipts: Iterable[dict[str, Any]], names: Mapping[str, str]) -> int:
    """See `gates.check_pictures`; a finished build is not sealed where it fails.

    names: digest -> what to call a case.
    """
    entries, prints = [], []
    for receipt in receipts:
        for study, subject, hashes, small in receipt["prints"]:
            case, _, cut = study.partition("-")
            entries.append(Entry(f"{names[case]} {cut}".strip(), "", subject, receipt["split"]))
            pixels = np.frombuffer(base64.b85decode(small), np.uint8)
            prints.append(Print(tuple(hashes), pixels.reshape(len(hashes), LOOKED_AT, LOOKED_AT)))
    return gates.check_pictures(entries, prints)


def _made(missing: Sequence[Shard], config: CotConfig) -> Iterator[dict[str, Any]]:
    if config.workers == 1 or len(missing) < 2:
        yield from (make(shard, config) for shard in missing)
        return
    with ProcessPoolExecutor(config.workers) as pool:
        yield from pool.map(make, missing, [config] * len(missing))


def is_made(shard: Shard, config: CotConfig) -> bool:
    """Its receipt is there, of the same plan and code, and the files have the bytes it tells."""
    file = receipt_file(config.out, shard.name)
    if not file.is_file():
        return False
    told = json.loads(file.read_text())
    return told["plan"] == plan_digest(shard, config) and told["files"] == _files(config.out, shard.name)


def plan_digest(shard: Shard, config: CotConfig) -> str:
    """Of all that decides a shard's bytes."""
    settings = config.model_dump_json(exclude={"out", "workers", "sources"}) + shard.source.model_dump_json()
    found = hashlib.sha256(f"{shard.name}|{settings}|{code_digest()}".encode())
    for case in shard.cases:
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in case.files]
        found.update(f"{case.source}|{case.study}|{case.subject}|{case.licence}|{files}".encode())
        found.update(pickle.dumps(case.open))  # the table of names among it
    return found.hexdigest()


@cache
def code_digest() -> str:
    """Of what reads, proposes, groups and words."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("*.py")), *sorted((here.parent / "sources").glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def receipt_file(out: Path, name: str) -> Path:
    return out / RECEIPTS / f"{name}.json"


def summary(receipts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Counts of a whole build, by split."""
    found: dict[str, Any] = {}
    for receipt in receipts:
        here = found.setdefault(receipt["split"], {"cases": 0, "studies": Counter(), "questions": Counter()})
        here["cases"] += receipt["cases"]
        here["studies"].update(receipt["studies"])
        here["questions"].update(receipt["questions"])
    return found


def _receipt(
    shard: Shard,
    config: CotConfig,
    count: Counter[int],
    proposed: int,
    made: Sequence[Question],
    seen: Sequence[Seen],
    more: dict[str, Any],
) -> dict[str, Any]:
    receipt = {
        "shard": shard.name,
        "split": shard.split,
        "source": shard.source.name,
        "plan": plan_digest(shard, config),
        "cases": len(shard.cases),
        "studies": {f"{d}d": count[d] for d in (2, 3)},
        "proposed": proposed,
        "questions": {f"{d}d": sum(q.dimension == d for q in made) for d in (2, 3)},
        "files": _files(config.out, shard.name),
        **more,
        "prints": [one.to_json() for one in seen],
    }
    write_text(receipt_file(config.out, shard.name), json.dumps(receipt) + "\n")
    return receipt


def _files(out: Path, name: str) -> dict[str, str]:
    found = (shards.studies_file(out, name), shards.questions_file(out, name))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()}


def _check_once(todo: Sequence[Shard]) -> None:
    seen: dict[tuple[str, str], Shard] = {}
    for shard in todo:
        for case in shard.cases:
            if seen.setdefault((case.source, case.study), shard) is not shard:
                raise BadInput(
                    "one case twice",
                    where=f"sources, {case.source}: found {case.study} twice, wanted each case once",
                    next="rename the files of one of the folders, or build each by itself",
                )


def _check_place(out: Path) -> None:
    """A folder of ours, an empty one, or none yet: what is somebody's stays somebody's."""
    strange = out.exists() and not out.is_dir()
    if out.is_dir() and not (out / RECEIPTS).is_dir():
        strange = any(out.iterdir())
    if strange:
        found = "a folder with other files" if out.is_dir() else "a file"
        raise BadInput(
            "this isn't the place of a build",
            where=f"--out {out.name}: found {found}, wanted an empty folder, none yet, or that of an earlier build",
            next="name another",
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / RECEIPTS).mkdir(exist_ok=True)  # from now on the folder is ours


def _forget_others(out: Path, names: set[str]) -> None:
    """Shards of another plan, and what a stopped build left half written."""
    for path in [*out.glob("*.parquet"), *out.glob(".*.part"), *(out / RECEIPTS).glob("*.json")]:
        ours = OURS.fullmatch(path.name)
        if ours and (ours["part"] or ours["shard"] not in names):
            path.unlink()
