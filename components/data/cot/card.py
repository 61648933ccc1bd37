"""The card of a build: what is in it, how its answers are spread, what words alone give away, samples to look at.

Everything is read back from the shards. metrics.json holds the numbers, card.md and card.html show them, card.png holds
24 samples.
"""

import base64
import hashlib
import html
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.data.cot.build import SPLITS
from components.data.cot.text_only import letters, text_only
from components.data.pictures import sheet
from model.imaging import shards
from model.imaging.shards import Study
from model.interface.question import FAMILIES, Question
from model.interface.writing import replacing, write_text

SAMPLES = 24
SIZES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Classes of a box's size, in shares of its picture or volume."""
WIDEST = 320
"""Length of the longest bar of a histogram, px."""


def write(folder: Path, results: Path) -> dict[str, Any]:
    """The card of a sealed build beside its shards, and its numbers, page and picture among the results.

    The folder is sealed again, with its card.
    """
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
    picture = sheet(_spread(samples))
    results.mkdir(parents=True, exist_ok=True)
    page = _markdown(told)
    for place in (folder, results):
        with replacing(place / "card.png") as part:
            picture.save(part, "PNG", optimize=True)
        write_text(place / "card.md", page)
    write_text(folder / "card.html", _html(told, picture))
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


def _tables(told: dict[str, Any]) -> list[tuple[str, str, list[str], list[list[str]]]]:
    """(title, note, head, rows) of each table: one source for both pages."""
    splits = [
        [split, str(s["subjects"]), str(s["cases"]), str(s.get("2d", 0)), str(s.get("3d", 0))]
        + [str(told["splits"][split][d]["n"]) for d in ("2d", "3d")]
        for split, s in told["studies"].items()
    ]
    families = [
        [
            family,
            *(str(sum(told["splits"][s][d]["family"].get(family, 0) for s in told["splits"])) for d in ("2d", "3d")),
        ]
        for family in FAMILIES
    ]
    contrasts: Counter[str] = Counter()
    for split in told["splits"].values():
        for dimension in ("2d", "3d"):
            contrasts.update(split[dimension]["contrast"])
    guess = [
        [name, str(row["n"]), f"{row['accuracy']:.3f}", f"{row['chance']:.3f}", _interval(row)]
        for name, row in told["text_only"].items()
    ]
    classes = [f"{a:g} to {b:g}" for a, b in pairwise(SIZES)]
    boxes = [[name, *map(str, counts)] for name, counts in told["box_sizes"].items()]
    answers = [[pair, ", ".join(f"{a} {n}" for a, n in some.items())] for pair, some in told["answers"].items()]
    right = [[n, ", ".join(f"{a} {k}" for a, k in some.items())] for n, some in told["letters"].items()]
    return [
        (
            "Splits",
            "By person. A question's counter-questions are in the same split.",
            ["split", "subjects", "cases", "slices", "volumes", "questions 2D", "questions 3D"],
            splits,
        ),
        ("Families", "", ["family", "2D", "3D"], families),
        ("Contrasts", "", ["contrast", "questions"], [[name, str(n)] for name, n in sorted(contrasts.items())]),
        (
            "What words alone give away",
            "A classifier of question and option texts, tried on questions that share no options with those it learned "
            "from; closed questions; 95 % interval of the difference.",
            ["dimension and family", "n", "accuracy", "chance", "difference"],
            guess,
        ),
        ("Right letters", "By number of options.", ["options", "how often each is right"], right),
        (
            "Right answers",
            "Of the commonest pairs of options.",
            ["family and options", "how often each is right"],
            answers,
        ),
        ("Sizes of boxes", "Shares of the picture or the volume.", ["boxes", *classes], boxes),
        ("Licences", "", ["licence", "questions"], [[name, str(n)] for name, n in told["licences"].items()]),
    ]


INTRO = (
    "Questions about segmented studies, with grounded traces. Every answer is worked out from masks. A question stands "
    "only beside its counter-questions: the same words and options about other studies, each option right exactly once."
)


def _interval(row: dict[str, float]) -> str:
    return f"{row['over_chance']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _markdown(told: dict[str, Any]) -> str:
    lines = [
        "# Data card",
        "",
        INTRO,
        "",
        f"Data set `{told['digest'][:12]}`. Boxes below are the teacher's, `>` is right.",
    ]
    lines += ["", "![Samples](card.png)"]
    for title, note, head, rows in _tables(told):
        lines += [
            "",
            f"## {title}",
            "",
            *([note, ""] if note else []),
            f"| {' | '.join(head)} |",
            "|" + "---|" * len(head),
        ]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _html(told: dict[str, Any], picture: Image.Image) -> str:
    """One self-contained page."""
    raw = io.BytesIO()
    picture.save(raw, "PNG", optimize=True)
    parts = [f"<h1>Data card</h1><p>{INTRO}</p><p>Data set <code>{told['digest'][:12]}</code></p>"]
    for title, note, head, rows in _tables(told):
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows)
        names = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in head)
        parts.append(
            f"<h2>{title}</h2><p>{note}</p><table><thead><tr>{names}</tr></thead><tbody>{cells}</tbody></table>"
        )
        if title == "Sizes of boxes":
            parts += [_bars(name, counts) for name, counts in told["box_sizes"].items()]
    image = base64.b64encode(raw.getvalue()).decode()
    parts.append(f'<h2>Samples</h2><img alt="24 samples with their boxes" src="data:image/png;base64,{image}">')
    return PAGE.replace("BODY", "".join(parts))


def _bars(name: str, counts: Sequence[int]) -> str:
    """A histogram as horizontal bars."""
    most = max([*counts, 1])
    rows = "".join(
        f'<text x="0" y="{14 + 18 * k}">{low:g} to {high:g}</text>'
        f'<rect x="110" y="{3 + 18 * k}" width="{WIDEST * n / most:.0f}" height="13"/>'
        f'<text x="{118 + WIDEST * n / most:.0f}" y="{14 + 18 * k}">{n}</text>'
        for k, (low, high, n) in enumerate(zip(SIZES, SIZES[1:], counts, strict=False))
    )
    label = html.escape(f"Sizes of boxes: {name}")
    return (
        f'<h3>{label}</h3><svg role="img" aria-label="{label}" width="520" height="{18 * len(counts) + 4}">{rows}</svg>'
    )


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Data card</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1400px;margin:2rem auto;padding:0 1rem;color:#16202c}
table{border-collapse:collapse;margin:.5rem 0}
td,th{border-bottom:1px solid #d5dce4;padding:.25rem .7rem;text-align:left}
h3{font-size:1rem;margin:1rem 0 .2rem}rect{fill:#2f6fb3}text{font-size:12px;fill:currentColor}img{max-width:100%}
@media(prefers-color-scheme:dark){body{color:#e6ebf5;background:#0f1420}td,th{border-color:#33405a}rect{fill:#5ac8ff}}
</style><body>BODY</body></html>
"""
