"""From segmentation sets to grounded reasoning data: a shard at a time, on any number of processes.

    plan -> shard (cases -> studies, sights -> proposals -> groups -> questions) -> receipts -> manifest

A shard's bytes depend on the seed, its cases, the build's key (`studies.key_of`) and this code, not on the workers nor
on the other shards. Its receipt is written last: a build that was stopped, however hard, goes on with the first shard
that has none.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from components.data import gates
from components.data.calls import Calls
from components.data.cot import exchange, families, receipts
from components.data.cot.families import Proposal
from components.data.cot.plan import SPLITS, CotConfig, Shard, plan
from components.data.cot.receipts import RECEIPTS, Assumed, Seen, is_made, receipt_file, run_digest
from components.data.cot.rewriting import rewritten
from components.data.cot.studies import Cutting, digest_of, studies
from components.data.cot.wording import Words
from components.data.cot.workers import EVERY_S, pool
from components.data.gates import Entry
from components.data.rewriter import RewriterConfig, Summary
from components.data.sources.case import Case, Labelled
from model.imaging import shards
from model.imaging.shards import Study
from model.interface.errors import BadInput, Conflict

CARD = ("card.md", "card.html", "card.png", "metrics.json")
OURS = re.compile(
    r"\.?(?P<shard>(train|val|test)-\d{5})(-studies\.parquet|-questions\.parquet|\.json)(?P<part>\.\d+\.part)?"
)
"""Names of what a build writes."""


def make(shard: Shard, config: CotConfig) -> dict[str, Any]:
    """Write a shard and its receipt; returns the receipt."""
    random = np.random.default_rng([config.seed, SPLITS.index(shard.split), shard.number])
    cutting = Cutting(config.slices, shard.source.least_cnr)
    proposed: list[Proposal] = []
    count: Counter[int] = Counter()
    assumed = Assumed()
    seen: list[Seen] = []
    names: set[str] = set()

    def stream() -> Iterator[Study]:
        for case in shard.cases:
            labelled = opened(case)
            assumed.add(case, labelled)
            names.update(labelled.sought, labelled.doubtful)
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
        names.update(name for p in proposed for name in p.about)
        made = rewritten(made, config.rewriter, told, names, calls_of(config.out, config.rewriter))
    shards.write_questions(config.out, shard.name, made)
    gates.check_schema(made, {one.study: one.facts for one in seen})
    more = assumed.to_json() | ({"rewritten": told.to_json()} if config.rewriter else {})
    return receipts.write(shard, config, count, len(proposed), made, seen, more)


def calls_of(out: Path, config: RewriterConfig) -> Calls:
    """What all processes that build here have left of their budget."""
    return Calls(out / RECEIPTS / "calls", config.most_calls)


def opened(case: Case) -> Labelled:
    """Raises BadInput that also names the case: many sets call every image alike."""
    try:
        return case.open()
    except BadInput as error:
        where = f"{case.source}, case {case.study}: {error.where}"
        # `urm data build` takes no options of a single file
        advice = "take the case out, or save it so that it can be read as it is" if " --" in error.next else error.next
        raise BadInput(error.what, where=where, next=advice, safe="shards that are made are kept") from error


def run(
    config: CotConfig, report: Callable[[int, int, dict[str, Any]], None] = lambda *_: None
) -> list[dict[str, Any]]:
    """Make what is missing, seal the folder, return the receipts.

    report: called after each shard with (done, of, receipt). Raises BadInput of whatever a case can't be read for.
    """
    return make_all(plan(config), config, report)


def make_all(
    todo: Sequence[Shard], config: CotConfig, report: Callable[[int, int, dict[str, Any]], None] = lambda *_: None
) -> list[dict[str, Any]]:
    """The shards of a plan, as `run`."""
    if not todo:
        raise BadInput("nothing to build from", where="sources, found no case, wanted some", next="name other sources")
    people = [Entry(case.study, case.source, case.subject, shard.split) for shard in todo for case in shard.cases]
    gates.check_people(people)
    gates.check_sets(people)
    _check_once(todo)
    _check_place(config.out)
    with _alone(config.out):
        return _made_and_sealed(todo, config, report)


def _made_and_sealed(
    todo: Sequence[Shard], config: CotConfig, report: Callable[[int, int, dict[str, Any]], None]
) -> list[dict[str, Any]]:
    _forget_others(config.out, {shard.name for shard in todo})
    missing = [shard for shard in todo if not is_made(shard, config)]
    for name in (shards.MANIFEST, *(CARD if missing else ())):
        (config.out / name).unlink(missing_ok=True)  # neither is true of what is about to be made
    if config.rewriter:
        calls_of(config.out, config.rewriter).begin(run_digest(todo, config))
    names = {digest_of(case): case.study for shard in todo for case in shard.cases}
    planned = Counter(case.source for shard in todo for case in shard.cases)
    made: list[dict[str, Any]] = []
    with closing(_made(missing, config)) as making:
        for receipt in making:
            made.append(receipt)
            check_sides(made, names, planned)  # a set that is mirrored needn't be read to its end
            report(len(todo) - len(missing) + len(made), len(todo), receipt)
    told = [json.loads(receipt_file(config.out, shard.name).read_text()) for shard in todo]
    check_sides(told, names)
    check_pictures(told, names)
    shards.seal(config.out)
    return told


def check_sides(told: Iterable[dict[str, Any]], names: Mapping[str, str], of: Mapping[str, int] | None = None) -> None:
    """See `gates.check_share`.

    told: receipts; names: digest -> what to call a case; of: source -> cases to compare with, by default those that
    were checked.
    """
    found = receipts.sides(told)
    crossed = {source: [names[digest] for digest in row["crossed"]] for source, row in found.items()}
    gates.check_share(crossed, of or {source: row["checked"] for source, row in found.items()})


def check_pictures(told: Iterable[dict[str, Any]], names: Mapping[str, str]) -> int:
    """See `gates.check_pictures`; a finished build is not sealed where it fails.

    told, names: as `check_sides`.
    """
    entries, prints = [], []
    for study, subject, split, print_ in receipts.prints(told):
        case, _, cut = study.partition("-")
        entries.append(Entry(f"{names[case]} {cut}".strip(), "", subject, split))
        prints.append(print_)
    return gates.check_pictures(entries, prints)


def _made(missing: Sequence[Shard], config: CotConfig) -> Generator[dict[str, Any]]:
    if config.workers == 1 or len(missing) < 2:
        yield from (make(shard, config) for shard in missing)
        return
    with pool(config.workers) as processes:
        yield from processes.map(make, missing, [config] * len(missing))


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
    try:
        (out / RECEIPTS).mkdir(parents=True, exist_ok=True)  # from now on the folder is ours
    except OSError as error:
        raise BadInput(
            "nothing can be written here",
            where=f"--out {out}: found {error.strerror}, wanted a folder that can be made",
            next="name another",
        ) from error


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Two builds would take each other's half-written files for those of one that was stopped."""
    lock = FileLock(out / RECEIPTS / "lock", timeout=6 * EVERY_S)  # workers of a killed build hold it until they end
    try:
        lock.acquire()
    except Timeout as error:
        raise Conflict(
            "another build is at work here",
            where=f"--out {out}: found its lock held, wanted it free",
            next="wait for it, or name another folder",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _forget_others(out: Path, names: set[str]) -> None:
    """Shards of another plan, and what a stopped build left half written."""
    for path in [*out.glob("*.parquet"), *out.glob(".*.part"), *(out / RECEIPTS).glob("*.json")]:
        ours = OURS.fullmatch(path.name)
        if ours and (ours["part"] or ours["shard"] not in names):
            path.unlink()
