"""`urm data build --source …`: a data set from masks of one's own, planned, built, checked, described, recorded."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components import settings
from components.data.cot import receipts
from components.data.cot.build import make_all
from components.data.cot.plan import CotConfig, Source, plan
from components.data.cot.studies import digest_of
from components.data.cot.telling import assumed, count
from components.data.sources import registry
from model.interface.errors import BadInput

SECTION = "cot"


def config_of(
    sources: Sequence[str], out: Path | None = None, workers: int | None = None, cases: int | None = None
) -> CotConfig:
    """The section `cot` of params.yaml, changed by what the command line says.

    sources: "name=folder" or "name", each an adapter and where its set lies; what the section says of a source of that
    name holds on. cases: take only the first so many of each.
    """
    config = settings.load(SECTION, CotConfig)
    told: dict[str, Any] = {"out": out, "workers": workers}
    told["sources"] = tuple(_source(one, config.sources, cases) for one in sources)
    return config.model_copy(update={name: value for name, value in told.items() if value is not None})


def _source(told: str, configured: Sequence[Source], cases: int | None) -> Source:
    name, _, root = told.partition("=")
    if name not in registry.ADAPTERS:
        raise BadInput(
            f"no adapter for {name!r}",
            where=f"--source, found {name!r}, wanted one of {', '.join(registry.ADAPTERS)}",
            next="urm data build --help; a folder of your own NIfTI files is `folder=PATH`",
        )
    known = next((source for source in configured if source.name == name), Source(name=name))
    changed = {"root": Path(root).expanduser()} if root else {}  # no shell does it behind "="
    return known.model_copy(update=changed | ({"cases": cases} if cases else {}))


def planned(config: CotConfig) -> Iterator[str]:
    """What a build would make; cases are listed, no pixel is read."""
    shards = plan(config)
    by_split: dict[tuple[str, str], list[int]] = {}
    for shard in shards:
        by_split.setdefault((shard.source.name, shard.split), []).append(len(shard.cases))
    for (source, split), sizes in by_split.items():
        n = sum(sizes)
        yield (
            f"{source} {split}: {count(n, 'case')} in {count(len(sizes), 'shard')}; "
            f"up to {n * config.slices} slices and {count(n, 'volume')}, "
            f"{round(n * config.slices * config.questions[0])} + {round(n * config.questions[1])} questions"
        )
    total = sum(len(shard.cases) for shard in shards)
    flat, deep = total * config.slices * config.questions[0], total * config.questions[1]
    yield f"in all: {count(total, 'case')}, up to {round(flat)} questions about slices and {round(deep)} about volumes"


def build(config: CotConfig) -> Iterator[str]:
    """Build what is missing; progress on stderr, counts as lines."""
    began = time.monotonic()

    def report(done: int, of: int, receipt: dict[str, Any]) -> None:
        asked = sum(receipt["questions"].values())
        sys.stderr.write(f"{done}/{of} {receipt['shard']}: {asked} questions, {time.monotonic() - began:.0f} s\n")

    todo = plan(config)
    made = make_all(todo, config, report)
    for line in assumed(made, {digest_of(case): case.study for shard in todo for case in shard.cases}):
        sys.stderr.write(line + "\n")
    for split, told in receipts.summary(made).items():
        seen, n = told["studies"], sum(told["questions"].values())
        yield (
            f"{split}: {count(told['cases'], 'case')}, {count(seen['2d'], 'slice')}, {count(seen['3d'], 'volume')}, "
            f"{count(n, 'question')}"
        )


def checked(config: CotConfig) -> Iterator[str]:
    """Every sample worked out again from the masks; raises BadInput where one is wrong."""
    from components.data.cot.check import check

    n, faults = check(config)
    if faults:
        raise BadInput(
            f"{len(faults)} of {n} samples are not as the masks say",
            where=f"{config.out.name}, question {faults[0].question}, found: {faults[0].what}",
            next="build it again from the same masks",
        )
    yield f"{config.out.name}: {n} samples worked out again from the masks, 0 wrong"


def card(config: CotConfig, results: Path) -> Iterator[str]:
    """Write the card, record it in MLflow as a data set, tell where it is."""
    from components import tracking
    from components.data.cot import card as cards

    told = cards.write(config.out, results)
    metrics = {f"text_only.{name}.over_chance": row["over_chance"] for name, row in told["text_only"].items()}
    metrics |= {f"questions.{split}": float(counts["n"]) for split, counts in told["splits"].items()}
    files = [config.out / name for name in ("card.md", "card.html", "card.png")]
    source = json.dumps({"manifest": told["digest"], "sources": [s.name for s in config.sources]})
    tracking.log_evaluation(
        "data",
        told["digest"],
        metrics=metrics,
        tags={"commit": tracking.commit()},
        files=files,
        data=tracking.DataUsed(config.out.name, told["digest"][:36], source),
    )
    yield from (f"{name}: {config.out / name}" for name in ("card.html", "card.md"))
