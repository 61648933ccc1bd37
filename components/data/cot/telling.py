"""What a build tells people of what it found: whose sides are known, and what had to be assumed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.data.cot import receipts

SHOWN = 12
"""Reasons, and names of cases, that are told."""


def assumed(made: Sequence[dict[str, Any]], names: Mapping[str, str]) -> Iterator[str]:
    """Whose sides are known, and what had to be assumed, by reason; names: digest -> case."""
    for source, row in receipts.sides(made).items():
        yield f"{source}: left and right are the patient's in {row['known']} of {count(row['cases'], 'case')}"
        if crossed := [names[digest] for digest in row["crossed"]]:
            yield (
                f"{source}: paired structures contradict the frame of {count(len(crossed), 'case')} "
                f"of {row['checked']}; nothing about sides is asked of {_some(crossed)}"
            )
    told = receipts.warnings(made)
    for reason, n in list(told.items())[:SHOWN]:
        yield f"assumed of {count(n, 'case')}: {reason}"
    if len(told) > SHOWN:
        yield f"more on the card: {count(len(told) - SHOWN, 'reason')}"
    if not any(sum(receipt["questions"].values()) for receipt in made):
        yield "nothing could be asked: no outline is large enough, or none differs from case to case"


def count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
