"""What is told of a shard once it is made, and whether a shard is the one that was planned.

A receipt is written last, as {out}/receipts/{shard}.json: counts, the digest of what the shard was planned from and
those of its files, what had to be assumed of its cases, and what gates compare with other shards.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import model.imaging
from components.data import gates
from components.data.cot.plan import CotConfig, Shard
from components.data.cot.studies import digest_of, files_of
from components.data.duplicates import LOOKED_AT, Print, print_of
from components.data.gates import Stored
from components.data.sources.case import Case, Labelled
from model.imaging import shards
from model.imaging.prepare import prepare
from model.imaging.shards import Study
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question
from model.interface.writing import sha256, write_text

RECEIPTS = "receipts"
AFTERWARDS = ("card.py", "check.py", "page.py", "remarks.py", "text_only.py", "truth.py")
"""Of the code beside this: what decides nothing about a shard's bytes."""
NUMBER = re.compile(r"'[^']*'|\d[\d.]*")


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


@dataclass
class Assumed:
    """What had to be assumed of a shard's cases."""

    warnings: Counter[str] = field(default_factory=Counter)
    """Reason -> cases."""
    known: int = 0
    """Cases whose left and right are the patient's."""
    checked: int = 0
    """Cases with a frame and paired structures to check it by."""
    crossed: list[str] = field(default_factory=list)
    """Digests of those whose pairs contradict the frame: their sides are used nowhere."""

    def add(self, case: Case, labelled: Labelled) -> None:
        """Raises BadInput where sides are told all the same."""
        volume = labelled.volume
        self.warnings.update({_reason(told) for told in (*volume.warnings, *labelled.warnings)})
        if labelled.sides == "patient":
            self.known += 1
            gates.check_sides([(case.study, labelled.outlines, volume.shape[0])])
        if volume.frame_known and gates.paired(labelled.outlines):
            self.checked += 1
            if gates.crossed(labelled.outlines, volume.shape[0]):
                self.crossed.append(digest_of(case))

    def to_json(self) -> dict[str, Any]:
        sides = {"known": self.known, "checked": self.checked, "crossed": self.crossed}
        return {"warnings": dict(sorted(self.warnings.items())), "sides": sides}


def _reason(warning: str) -> str:
    """Without numbers, but for those in a quoted name: "oblique by 12 degrees" and "by 7" are one reason."""
    return NUMBER.sub(lambda found: found[0] if found[0][0] == "'" else "N", warning)


def is_made(shard: Shard, config: CotConfig) -> bool:
    """Its receipt is there, of the same plan and code, and the files have the bytes it tells."""
    file = receipt_file(config.out, shard.name)
    if not file.is_file():
        return False
    told = json.loads(file.read_text())
    return told["plan"] == plan_digest(shard, config) and told["files"] == files_and_digests(config.out, shard.name)


def plan_digest(shard: Shard, config: CotConfig) -> str:
    """Of all that decides a shard's bytes."""
    settings = config.model_dump_json(exclude={"out", "workers", "sources"})
    settings += shard.source.model_dump_json(exclude={"root", "cases"})  # a set that was moved is the same set
    found = hashlib.sha256(f"{shard.name}|{settings}|{code_digest()}".encode())
    for case in shard.cases:
        found.update(case.key)
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(case)]
        found.update(f"{case.source}|{case.study}|{case.subject}|{case.licence}|{files}".encode())
        found.update(_spelled(case.open).replace(str(shard.source.root), "").encode())  # the table of names among it
    return found.hexdigest()


def run_digest(todo: Iterable[Shard], config: CotConfig) -> str:
    """Of all that a build makes: the same after it was stopped, another once anything is to be made otherwise."""
    return hashlib.sha256("".join(plan_digest(shard, config) for shard in todo).encode()).hexdigest()


def _spelled(read: Callable[..., Any]) -> str:
    """A function with all it is given, the same in every process: as a pickle it isn't."""
    work, given = (read.func, (read.args, read.keywords)) if isinstance(read, partial) else (read, ())
    return f"{work.__module__}.{work.__qualname__}{given}"


@cache
def code_digest() -> str:
    """Of what reads, paints, cuts, proposes, groups and words."""
    data, imaging = Path(__file__).parents[1], Path(model.imaging.__path__[0])
    files = [*data.glob("*.py"), *data.glob("cot/*.py"), *data.glob("sources/*.py"), *imaging.rglob("*.py")]
    kept = sorted(path for path in files if path.name not in AFTERWARDS)
    return hashlib.sha256(b"".join(path.read_bytes() for path in kept)).hexdigest()


def check_finished(out: Path) -> None:
    """Raises BadInput where there is no build, or half of one."""
    if not (out / RECEIPTS).is_dir():
        raise BadInput(
            "nothing was built here",
            where=f"--out {out}: found no {RECEIPTS}, wanted the folder of a build",
            next=f"urm data build --source ADAPTER=FOLDER --out {out}, or name another folder",
        )
    if not (out / shards.MANIFEST).is_file():
        raise BadInput(
            "the build isn't finished",
            where=f"--out {out}: found no {shards.MANIFEST}, wanted a sealed build",
            next="urm data build with the same --source and --out: it goes on where it stopped",
        )


def receipt_file(out: Path, name: str) -> Path:
    return out / RECEIPTS / f"{name}.json"


def read_all(out: Path) -> Iterator[dict[str, Any]]:
    """Of a folder, in the order of their shards' names."""
    return (json.loads(path.read_text()) for path in sorted((out / RECEIPTS).glob("*.json")))


def summary(receipts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Counts of a whole build, by split."""
    found: dict[str, Any] = {}
    for receipt in receipts:
        here = found.setdefault(receipt["split"], {"cases": 0, "studies": Counter(), "questions": Counter()})
        here["cases"] += receipt["cases"]
        here["studies"].update(receipt["studies"])
        here["questions"].update(receipt["questions"])
    return found


def warnings(receipts: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Reason -> cases it was told of, the commonest first."""
    found: Counter[str] = Counter()
    for receipt in receipts:
        found.update(receipt.get("warnings", {}))
    return dict(sorted(found.items(), key=lambda row: (-row[1], row[0])))


def sides(receipts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Source -> cases, how many tell the patient's sides, how many were checked by pairs, digests of the crossed."""
    found: dict[str, dict[str, Any]] = {}
    for receipt in receipts:
        here = found.setdefault(receipt["source"], {"cases": 0, "known": 0, "checked": 0, "crossed": []})
        here["cases"] += receipt["cases"]
        for name, value in receipt.get("sides", {}).items():
            here[name] += value
    return found


def prints(receipts: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str, str, Print]]:
    """(study, subject, split, print) of every study."""
    for receipt in receipts:
        for study, subject, hashes, small in receipt["prints"]:
            pixels = np.frombuffer(base64.b85decode(small), np.uint8)
            print_ = Print(tuple(hashes), pixels.reshape(len(hashes), LOOKED_AT, LOOKED_AT))
            yield study, subject, receipt["split"], print_


def write(
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
        "files": files_and_digests(config.out, shard.name),
        **more,
        "prints": [one.to_json() for one in seen],
    }
    write_text(receipt_file(config.out, shard.name), json.dumps(receipt) + "\n")
    return receipt


def files_and_digests(out: Path, name: str) -> dict[str, str]:
    found = (shards.studies_file(out, name), shards.questions_file(out, name))
    return {path.name: sha256(path) for path in found if path.is_file()}
