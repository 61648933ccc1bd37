"""The card of a build: what is in it, how its answers are spread, what words alone give away, samples to look at.

Everything is read back from the shards. metrics.json holds the numbers, card.md and card.html show them, card.png holds
24 samples.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.data.cot import receipts
from components.data.cot.page import SIZES, markdown, page
from components.data.cot.plan import SPLITS
from components.data.cot.text_only import letters, text_only
from components.data.pictures import sheet
from model.imaging import shards
from model.imaging.shards import Study
from model.interface.question import FAMILIES, Question
from model.interface.writing import replacing, write_text

SAMPLES = 24


def write(folder: Path, results: Path) -> dict[str, Any]:
    """The card of a sealed build beside its shards, and its numbers, page and picture among the results.

    The folder is sealed again, with its card.
    """
    receipts.check_finished(folder)
    shards.verify(folder)
    told: dict[str, Any] = {"digest": digest(folder), "splits": {}, "studies": {}, "licences": {}}
    asked: list[Question] = []
    samples: list[tuple[Study, Question]] = []
    sizes: defaultdict[str, list[float]] = defaultdict(list)
    for split in SPLITS:
        if not any(folder.glob(f"{split}-*")):
            continue
        here = shards.read_questions(folder, split)
        asked += here
        told["splits"][split] = _counts(here)
        told["studies"][split], some = _studies(folder, split, here, sizes)
        samples += some
    told["box_sizes"] = {kind: _histogram(values) for kind, values in sorted(sizes.items())}
    told["letters"] = letters(asked)
    told["answers"] = _answers(asked)
    told["text_only"] = text_only(asked)
    told["licences"] = _tally(q.licence for q in asked)
    told["sides"] = receipts.sides(receipts.read_all(folder))
    told["assumed"] = receipts.warnings(receipts.read_all(folder))
    picture = sheet(_spread(samples))
    results.mkdir(parents=True, exist_ok=True)
    text = markdown(told)
    for place in (folder, results):
        with replacing(place / "card.png") as part:
            picture.save(part, "PNG", optimize=True)
        write_text(place / "card.md", text)
    write_text(folder / "card.html", page(told, picture))
    write_text(results / "metrics.json", json.dumps(told, indent=1) + "\n")
    shards.seal(folder)
    return told


def digest(folder: Path) -> str:
    """SHA-256 of what the manifest tells of the shards: names the data set, whatever its card looks like."""
    told = json.loads((folder / shards.MANIFEST).read_text())
    lines = (f"{name} {sha}\n" for name, sha in sorted(told.items()) if name.endswith(".parquet"))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _counts(asked: Sequence[Question]) -> dict[str, Any]:
    found: dict[str, Any] = {"n": len(asked)}
    for dimension in (2, 3):
        some = [q for q in asked if q.dimension == dimension]
        found[f"{dimension}d"] = {
            "n": len(some),
            "open": sum(not q.options for q in some),
            "family": _tally(q.family for q in some),
            "contrast": _tally(q.contrast for q in some),
            "options": _tally(str(len(q.options)) for q in some if q.options),
            "boxes": _tally(str(sum(r.box is not None for r in q.rationale)) for q in some),
        }
    return found


def _studies(
    folder: Path, split: str, asked: Sequence[Question], sizes: defaultdict[str, list[float]]
) -> tuple[dict[str, Any], list[tuple[Study, Question]]]:
    """Counts, and one question of each study that is worth a picture; boxes' sizes are added to `sizes`."""
    about: defaultdict[str, list[Question]] = defaultdict(list)
    for q in asked:
        about[q.study].append(q)
    subjects, groups, n = set(), set(), Counter()
    seen: Counter[tuple[str, int]] = Counter()
    kept = []
    for study in shards.read_studies(folder, split):
        subjects.add(study.subject)
        groups.add(study.group)
        n[f"{study.volume.dimension}d"] += 1
        whole = float(np.prod(study.volume.shape))
        for q in about[study.id]:
            for remark in q.rationale:
                if remark.box:
                    sizes[f"{q.dimension}d {remark.kind}"].append(float(np.prod(remark.box.size)) / whole)
        for q in about[study.id][:1]:
            key = q.family, q.dimension
            if seen[key] < SAMPLES // 12:
                seen[key] += 1
                kept.append((study, q))
    return {"subjects": len(subjects), "cases": len(groups), **n}, kept


def _spread(samples: Sequence[tuple[Study, Question]]) -> list[tuple[Study, Question]]:
    """Families and dimensions take turns."""
    queues = [
        [one for one in samples if (one[1].family, one[1].dimension) == (family, dimension)]
        for family in FAMILIES
        for dimension in (2, 3)
    ]
    found = [queue[k] for k in range(SAMPLES) for queue in queues if k < len(queue)]
    return found[:SAMPLES]


def _answers(asked: Sequence[Question]) -> dict[str, dict[str, int]]:
    """Of closed questions with the same two options: how often each is right."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for q in asked:
        if len(q.options) == 2 and not q.regions and q.answer is not None:
            found[f"{q.family}: {' or '.join(sorted(q.options))}"][q.options[q.answer]] += 1
    common = sorted(found, key=lambda pair: (-sum(found[pair].values()), pair))[:12]
    return {pair: dict(sorted(found[pair].items())) for pair in common}


def _histogram(values: Sequence[float]) -> list[int]:
    return np.histogram(values, SIZES)[0].tolist()


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
