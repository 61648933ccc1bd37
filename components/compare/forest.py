"""A forest plot as inline SVG: a line a difference, its point and its interval, and nothing in the middle.

Where a claim allows a loss, a broken mark stands at it. Metrics that are counted are left to the table: on one axis
their crops and tokens would leave shares no room.
"""

from collections.abc import Callable, Sequence
from html import escape
from itertools import count

from components.compare.differences import Compared
from components.compare.words import AMOUNTS, better, measured, signed

LEFT, WIDTH, RIGHT, ROW = 590, 420, 190, 26
"""Room for words, for the axis and for numbers, and the height of a line, px."""
COLOURS = {"better": "#1a7f37", "kept": "#1a7f37", "worse": "#b3261e", "lost": "#b3261e"}
UNSURE = "#59636e"


def forest(rows: Sequence[Compared]) -> str:
    """The plot; "" of nothing. Runs are told by their names, claims by their words."""
    rows = [row for row in rows if row.found.value is not None and row.metric not in AMOUNTS]
    if not rows:
        return ""
    told = [n for row in rows for n in (row.found.value, row.found.low, row.found.high, row.within)]
    ends = [abs(n) for n in told if n is not None]
    reach = max(0.02, *ends) * 1.05
    height = ROW * (len(rows) + 2)

    def x(value: float) -> float:
        return LEFT + WIDTH * (value + reach) / (2 * reach)

    axis = [f'<line x1="{x(0):.1f}" y1="{ROW / 2}" x2="{x(0):.1f}" y2="{height - ROW}" stroke="#8c959f"/>']
    for tick in _ticks(reach):
        axis.append(
            f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle" class="tick">{tick:+g}</text>'
            f'<line x1="{x(tick):.1f}" y1="{ROW / 2}" x2="{x(tick):.1f}" y2="{height - ROW}" stroke="#eaeef2"/>'
        )
    lines = [_line(row, ROW * (k + 1), x) for k, row in enumerate(rows)]
    size = LEFT + WIDTH + RIGHT
    return (
        f'<svg class="forest" viewBox="0 0 {size} {height}" role="img" aria-label="differences with 95 % intervals">'
        + "".join([*reversed(axis), *lines])
        + "</svg>"
    )


def _line(row: Compared, y: float, x: Callable[[float], float]) -> str:
    colour, found = COLOURS.get(row.verdict, UNSURE), row.found
    assert found.value is not None
    name = row.claim or f"{row.better} − {row.than}"
    words = f"{name}: {measured(row.metric, row.dimension, row.within)}"
    title = f"<title>{escape(words)}</title>{escape(_short(words))}"
    parts = [f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{title}</text>']
    told = signed(found.value)
    if found.low is not None and found.high is not None:
        parts.append(
            f'<line x1="{x(found.low):.1f}" y1="{y}" x2="{x(found.high):.1f}" y2="{y}" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        told += f" [{signed(found.low)}, {signed(found.high)}]"
    if row.within:
        end = x(-row.within * better(row.metric))
        parts.append(
            f'<line class="within" x1="{end:.1f}" y1="{y - 7}" x2="{end:.1f}" y2="{y + 7}" stroke="{colour}" '
            'stroke-dasharray="2 2"/>'
        )
    parts.append(f'<circle cx="{x(found.value):.1f}" cy="{y}" r="4.5" fill="{colour}"/>')
    parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 4}" class="number">{told}</text>')
    return "".join(parts)


def _short(words: str, most: int = 86) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _ticks(reach: float) -> list[float]:
    """Round numbers on both sides of nothing, four a side at most."""
    step = next(s * 10.0**tens for tens in count(-2) for s in (1, 2, 5) if reach <= 4 * s * 10.0**tens)
    most = int(reach / step)
    return [round(k * step, 4) for k in range(-most, most + 1)]
