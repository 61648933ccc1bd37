"""Formulas against torch's own counter, forward and back."""

from torch.utils.flop_counter import FlopCounterMode

from components.bench import flops
from components.bench.flops import PerToken
from model.learning.losses import target_logprobs
from model.learning.packing import Row, pack
from model.vlm.checkpoint import Checkpoint
from tests.model.learning.made import rows
from tests.model.vlm.conftest import checkpoint  # noqa: F401


def test_products_of_a_row_are_what_torch_counts(checkpoint: Checkpoint) -> None:  # noqa: F811
    """Attention apart: torch counts its dense mask whole, and only some of its kernels."""
    row, vlm = rows(checkpoint, 1, 3), checkpoint.vlm
    counter = FlopCounterMode(display=False)
    with counter:
        target_logprobs(vlm, pack([row], 1), checkpoint.vocabulary).sum().backward()
    vlm.zero_grad(set_to_none=True)
    counted = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in counted.items() if "attention" not in str(op) and "bmm" not in str(op))
    one = PerToken.of(vlm)
    trained = sum(sum(branch.trained) for branch in row.branches)
    assert abs(products / (one.language * len(row) + one.head * trained) - 1) < 0.03


def test_branches_do_not_pay_for_one_another(checkpoint: Checkpoint) -> None:  # noqa: F811
    row, one = rows(checkpoint, 1, 4), PerToken.of(checkpoint.vlm)
    alone = [Row(row.shared, [branch], []) for branch in row.branches]
    together, separate = (flops.of_rows(one, some) for some in ([row], alone))
    assert together < separate
    assert flops.of_rows(one, [row], head_everywhere=True) > together
    length = len(row)
    assert row.pairs < length**2 / 2
