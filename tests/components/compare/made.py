"""Runs made up to differ in known ways."""

from dataclasses import replace

from components.compare.runs import Row, Run
from model.interface import grammar

TEXT = "<think>It is at <|box_start|>[4,6,20,30]<|box_end|></think>A. Yes"


def row(k: int, right: bool, *, dimension: int = 3, iou: float = 0.5) -> Row:
    said = TEXT if right else TEXT.replace("A. Yes", "B. No")
    opened, closed = said.split(grammar.BOX_CLOSE)
    return Row(
        question=f"q{k}",
        group=f"head{k // 2}",
        dimension=dimension,
        family="lesion analysis",
        asked="Is there a blob?\n\nA. Yes\nB. No",
        truth="A",
        letter="A" if right else "B",
        steps=((opened + grammar.BOX_CLOSE, 1), (closed, 0)),
        flaws=(),
        sampled=12,
        truncated=False,
        counts={"accuracy": (float(right), 1), "box_iou": (iou, 1), "valid_format": (1.0, 1)},
    )


def run(name: str, wrong: int, seeds: int = 5, n: int = 40, data: str = "d", dimensions: tuple[int, ...] = (3,)) -> Run:
    """Of the first n questions, the first `wrong` + seed are answered wrong. dimensions: taken in turns."""
    kinds = [dimensions[k % len(dimensions)] for k in range(n)]
    answers = {
        seed: {f"q{k}": row(k, k >= wrong + seed, dimension=kinds[k]) for k in range(n)} for seed in range(seeds)
    }
    return Run(name, f"run {name}", answers, {seed: {"digests": {"data": data}} for seed in answers}, {})


def counting(made: Run, metric: str, of: dict[int, float]) -> Run:
    """The same with a metric more. of: seed -> its sum of every question; other seeds don't have it."""
    seeds = dict(made.seeds)
    for seed, total in of.items():
        rows = made.seeds[seed].items()
        seeds[seed] = {name: replace(row, counts=row.counts | {metric: (total, 1)}) for name, row in rows}
    return replace(made, seeds=seeds)


def only(made: Run, *seeds: int) -> Run:
    """Those seeds alone."""
    return replace(made, seeds={k: made.seeds[k] for k in seeds}, told={k: made.told[k] for k in seeds})
