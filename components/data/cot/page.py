"""A card's numbers as Markdown and as one self-contained HTML page."""

import base64
import html
import io
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from PIL import Image

from model.interface.question import FAMILIES

SIZES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Classes of a box's size, in shares of its picture or volume."""
NAMED = 5
"""Cases that a table names."""
WIDEST = 320
"""Length of the longest bar of a histogram, px."""


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
    assumed = [[reason, str(n)] for reason, n in told["assumed"].items()]
    sides = [
        [source, *(str(row[name]) for name in ("cases", "known", "checked")), *_counted(row["crossed"])]
        for source, row in told["sides"].items()
    ]
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
        (
            "Left and right",
            "Cases whose sides are the patient's; those whose paired structures were compared with their frame; those "
            "that contradicted it, of which nothing about sides is asked.",
            ["source", "cases", "patient's", "compared", "contradicted", "which"],
            sides,
        ),
        ("What had to be assumed", "" if assumed else "Nothing.", ["reason", "cases"], assumed),
        ("Licences", "", ["licence", "questions"], [[name, str(n)] for name, n in told["licences"].items()]),
    ]


INTRO = (
    "Questions about segmented studies, with grounded traces. Every answer is worked out from masks. A question stands "
    "only beside its counter-questions: the same words and options about other studies, each option right exactly once."
)


LEGEND = "In the samples boxes are the teacher's, > marks what is right."


def _counted(names: Sequence[str]) -> tuple[str, str]:
    """(how many, the first few)."""
    return str(len(names)), ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _interval(row: dict[str, float]) -> str:
    return f"{row['over_chance']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def markdown(told: dict[str, Any]) -> str:
    lines = [
        "# Data card",
        "",
        INTRO,
        "",
        f"Data set `{told['digest'][:12]}`. {LEGEND}",
    ]
    lines += ["", "![Samples](card.png)"]
    for title, note, head, rows in _tables(told):
        lines += ["", f"## {title}", "", *([note] if note else [])]
        if rows:
            lines += [*([""] if note else []), f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def page(told: dict[str, Any], picture: Image.Image) -> str:
    """One self-contained page."""
    raw = io.BytesIO()
    picture.save(raw, "PNG", optimize=True)
    parts = [f"<h1>Data card</h1><p>{INTRO}</p><p>Data set <code>{told['digest'][:12]}</code>. {LEGEND}</p>"]
    for title, note, head, rows in _tables(told):
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows)
        names = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in head)
        table = f"<table><thead><tr>{names}</tr></thead><tbody>{cells}</tbody></table>" if rows else ""
        parts.append(f"<h2>{title}</h2><p>{note}</p>{table}")
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
