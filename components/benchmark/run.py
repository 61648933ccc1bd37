"""Score a checkpoint, or a peer behind an endpoint, on a question answering set by the set's own protocol.

Items come from `components.data.vqa`, one study in memory at a time for all of its questions that stand together. Over
a cluster they are asked in the same batches, by a pool of workers of which each holds the model.
Writes result.json (`results.Result`) and answers.jsonl.gz, from which every score can be worked out again.
"""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from string import ascii_uppercase

import numpy as np

from components.benchmark.endpoint import Endpoint, EndpointConfig, Said
from components.benchmark.protocols import Protocol, protocol
from components.benchmark.results import Answerer, Result, Score, questions_digest
from components.benchmark.studies import pngs_of, prepared_of
from components.data.vqa.item import Item, Report, to_question, why_not_askable
from components.data.vqa.registry import adapter
from components.evaluation.intervals import Resamples, ends, resample, tidy
from components.evaluation.metrics import in_words
from model.interface import grammar
from model.interface.errors import BadInput, Failure
from model.interface.trace import Answer
from model.interface.writing import replacing
from model.learning.matching import exact, token_f1, token_recall
from model.vlm import checkpoint as folders

DRAWS = 2000
AT_ONCE = 32
"""Questions about images that are asked together."""

Ask = Callable[[list[Item]], list[Said]]
"""Items to their answers, in order; raises Failure where an item can't be shown."""
Answered = tuple[Item, Said | str]


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers on a cluster."""

    workers: int = 1
    gpus: float = 0
    """Of each, parts of one too; where any, its model is on the GPU."""


def run(
    name: str,
    root: Path,
    out: Path,
    *,
    checkpoint: Path | None = None,
    endpoint: EndpointConfig | None = None,
    split: str = "",
    most: int | None = None,
    pool: Pool | None = None,
) -> Result:
    """Raises BadInput where there is nothing to ask, or nobody or two to ask.

    root: the set's folder. split: the protocol's where it is "". most: ask only the first so many. pool: of a cluster,
    whose every machine sees set and checkpoint at these places; this process where it is None.
    """
    if (checkpoint is None) == (endpoint is None):
        where = "found neither a checkpoint nor an endpoint, or both; wanted one"
        raise BadInput("whom to ask?", where=where, next="--checkpoint FOLDER, or --endpoint URL --model NAME")
    rules = protocol(name)
    split = split or rules.split
    report = Report()
    items, left_out = askable(adapter(name).items(root, split, report), most)
    if not items:
        where = f"{name}, {split}: found nothing to ask; {report.render()}"
        raise BadInput("there is nothing to ask", where=where, next="read docs/vqa_sets.md on how the set lies")
    device = "cuda" if pool and pool.gpus else "cpu"
    if checkpoint:
        answerer = Answerer(kind="checkpoint", name=checkpoint.resolve().name, digest=folders.verify(checkpoint))
        make = partial(of_checkpoint, checkpoint.resolve(), root.resolve(), device)
    else:
        assert endpoint
        answerer = Answerer(kind="endpoint", name=file_name(endpoint.model))
        make = partial(of_endpoint, endpoint, root.resolve())
    asked, said = [], []
    for item, one in chain.from_iterable(_worked(list(together(items)), make, pool)):
        if isinstance(one, Said):
            asked.append(item)
            said.append(one)
        else:
            left_out[one] += 1
    if not asked:
        where = f"{name}, {split}: found {'; '.join(left_out)}"
        raise BadInput("no item of the set can be shown", where=where, next="read the reasons above")
    result = Result(
        set=name,
        split=split,
        licence=asked[0].licence,
        protocol=rules.version,
        source=rules.source,
        questions=questions_digest(asked),
        asked=len(asked),
        left_out=dict(left_out + report.unused),
        unanswered=sum(map(silent, asked, said)),
        answerer=answerer,
        headline=headline(asked, rules),
        scores=scored(asked, said, rules),
        parts={part: by_part(asked, said, rules, part) for part in rules.parts},
    )
    folder = out / f"{name}-{answerer.name}"
    result.write(folder)
    _write(folder / "answers.jsonl.gz", asked, said)
    return result


def askable(stream: Iterator[Item], most: int | None) -> tuple[list[Item], Counter[str]]:
    """Items that a model can be asked, and why the others can't."""
    items, left_out = [], Counter[str]()
    for item in stream:
        if reason := why_not_askable(item):
            left_out[reason] += 1
        elif most is None or len(items) < most:
            items.append(item)
    return items, left_out


def together(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Items about the same images as far as they stand side by side, several such groups at a time."""
    batch: list[Item] = []
    for _, group in groupby(items, key=lambda item: item.images):
        batch += group
        if len(batch) >= AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _worked(batches: list[list[Item]], make: Callable[[], Ask], pool: Pool | None) -> Iterator[list[Answered]]:
    """By this process or over a cluster, in order."""
    make_one = partial(_answering, make)
    if pool is None:
        return map(make_one(), batches)
    from components.pooled import pooled

    return pooled(batches, make_one, workers=pool.workers, gpus=pool.gpus)


def _answering(make: Callable[[], Ask]) -> Callable[[list[Item]], list[Answered]]:
    ask = make()
    return lambda items: list(answered(items, ask))


def answered(items: list[Item], ask: Ask) -> Iterator[Answered]:
    """Each with its answer, or with the reason why it couldn't be shown."""
    try:
        yield from zip(items, ask(items), strict=True)
    except Failure as failure:
        if len(items) == 1:
            yield items[0], failure.what
        else:
            for item in items:
                yield from answered([item], ask)


def of_checkpoint(folder: Path, root: Path, device: str = "cpu") -> Ask:
    from model.vlm.engine import answer
    from model.vlm.sampling import ASKED

    checkpoint = folders.load(folder, device)

    def ask(items: list[Item]) -> list[Said]:
        shown = {item.images: item for item in items}
        studies = {images: prepared_of(root, item, checkpoint.contract) for images, item in shown.items()}
        asked = [(studies[item.images], to_question(item, "", studies[item.images].dimension)) for item in items]
        traces = answer(checkpoint, asked, ASKED)
        return [said_of(item, trace.answer) for item, trace in zip(items, traces, strict=True)]

    return ask


def said_of(item: Item, answer: Answer) -> Said:
    return Said(answer.choice, grammar.beside_choice(answer)) if item.options else Said(None, in_words(answer))


def of_endpoint(config: EndpointConfig, root: Path) -> Ask:
    endpoint = Endpoint(config)

    def ask(items: list[Item]) -> list[Said]:
        shown = {item.images: item for item in items}
        pictures = {images: pngs_of(root, item) for images, item in shown.items()}
        return [endpoint.say(item, pictures[item.images]) for item in items]

    return ask


def file_name(model: str) -> str:
    """A peer's name without what a path can't hold."""
    return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in model)


def headline(items: Sequence[Item], rules: Protocol) -> str:
    closed = any(item.options for item in items)
    name = "closed_accuracy" if closed else "open_recall"
    return f"{name}_by_family" if rules.headline == "families" else name


def silent(item: Item, said: Said) -> bool:
    """No words, or of a closed question no letter that was offered."""
    return said.letter not in list(ascii_uppercase[: len(item.options)]) if item.options else not said.text


def marks(item: Item, said: Said) -> dict[str, float]:
    """What one answer is worth, by score; closed and open questions have scores of their own."""
    if item.options:
        return {"closed_accuracy": float(said.letter == item.letter)}
    return {
        "open_exact": exact(said.text, item.answer_text),
        "open_f1": token_f1(said.text, item.answer_text),
        "open_recall": token_recall(said.text, item.answer_text),
    }


def scored(items: Sequence[Item], said: Sequence[Said], rules: Protocol) -> dict[str, Score]:
    """Means over answers, and where the protocol wants it over families, with intervals over subjects."""
    resamples = resample([item.subject for item in items], DRAWS, 0)
    told = [marks(item, one) for item, one in zip(items, said, strict=True)]
    found: dict[str, Score] = {}
    for name in sorted({name for one in told for name in one}):
        values = np.array([one.get(name, 0.0) for one in told])
        counts = np.array([float(name in one) for one in told])
        found[name] = Score.model_validate(resamples.ratio(values * counts, counts).to_json())
        if rules.headline == "families":
            found[f"{name}_by_family"] = _over(resamples, values, counts, [item.family for item in items])
    return found


def by_part(items: Sequence[Item], said: Sequence[Said], rules: Protocol, part: str) -> dict[str, dict[str, Score]]:
    names = sorted({getattr(item, part) for item in items})
    plain = Protocol(version=rules.version, split=rules.split)
    found = {}
    for name in names:
        inside = [k for k, item in enumerate(items) if getattr(item, part) == name]
        found[name or "unnamed"] = scored([items[k] for k in inside], [said[k] for k in inside], plain)
    return found


def _over(resamples: Resamples, values: np.ndarray, counts: np.ndarray, families: Sequence[str]) -> Score:
    """Mean of the families' means; a resample that lacks a family is a mean of the others."""
    drawn, means = [], []
    subjects = int(np.count_nonzero(np.bincount(resamples.clusters, counts)))
    size = resamples.weights.shape[1]
    for name in sorted(set(families)):
        inside = counts * [family == name for family in families]
        if not inside.sum():
            continue
        means.append(float((values * inside).sum() / inside.sum()))
        sums, held = (np.bincount(resamples.clusters, x, size) for x in (values * inside, inside))
        with np.errstate(invalid="ignore"):
            drawn.append((resamples.weights @ sums) / (resamples.weights @ held))
    rates = np.array(drawn)  # (families, draws), NaN where a draw lacks the family
    there = np.isfinite(rates).sum(0)
    low, high = ends(np.nansum(rates, 0)[there > 0] / there[there > 0], subjects)
    return Score(value=tidy(float(np.mean(means))), low=tidy(low), high=tidy(high), n=int(counts.sum()))


def _write(file: Path, items: Sequence[Item], said: Sequence[Said]) -> None:
    with replacing(file) as part, part.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as lines:
        for item, one in zip(items, said, strict=True):
            told = {"id": item.id, "letter": one.letter, "text": one.text, "error": one.error}
            lines.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
