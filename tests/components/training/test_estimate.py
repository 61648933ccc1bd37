"""A plan is right where it can be checked, and what can't fit is refused by name."""

from pathlib import Path

import pytest
import torch

from components.training import estimate
from components.training.launch import Workers, launch
from components.training.load import Load, load_of
from components.training.rl import train as train_rl
from components.training.rl_config import RlConfig
from components.training.sft import SftConfig, train
from components.training.shapes import Shape, shape_of
from components.training.strategies import open_base, tuned
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.learning.reference import Reference
from model.vlm import checkpoint as folders
from model.vlm import engine, room
from tests.components import world
from tests.components.training.test_sft import FolderSaves

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
SEVEN_B = Path("Qwen/Qwen2.5-VL-7B-Instruct")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("estimate")
    world.checkpoint(root / "base")
    world.data(root / "data")
    return root


def sft(root: Path, **said: object) -> SftConfig:
    return SftConfig.model_validate({"base": root / "base", "data": root / "data", "studies": 6, "epochs": 3} | said)


def rl(root: Path, **said: object) -> RlConfig:
    return RlConfig.model_validate({"sft": root / "base", "data": root / "data"} | said)


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_what_moves_is_what_is_trained(root: Path, tune: str) -> None:
    config = sft(root, tune=tune)
    found = tuned(open_base(config.base, config), config)
    assert estimate.moves(shape_of(config.base), config) == sum(p.numel() for p in found.values())


def test_a_plan_names_every_part(root: Path) -> None:
    told = list(estimate.lines("sft", root / "base", sft(root)))
    assert [line.split()[0] for line in told] == ["stage", "parameters", "data", "step", "run", "memory", "state"]
    assert "12 rows: 6 images, 6 volumes" in told[2]
    told = list(estimate.lines("rl", root / "base", rl(root, images=2, volumes=1, group=4, workers=1)))
    assert "6 questions about images, 6 about volumes; 2 + 1 a step, 4 answers each" in told[2]
    assert told[5].startswith(
        "answers     together 8 about images, room of 1,024 tokens each; 4 about volumes, room of "
    )
    assert all(part in told[6] for part in ("weights ", "optimiser ", "pictures ", "update ", " or answers "))
    assert "reference" not in told[6]


def test_memory_of_known_runs(root: Path) -> None:
    """Weights, gradients and moments of a 7B model are 16 bytes a parameter, and shared by FSDP2's workers."""
    load = Load("", 1, a_step=8192.0, trained=2048.0, row=8192.0, longest=8192.0, kept=0.0, every=1)
    shape = shape_of(SEVEN_B)
    one, eight = (
        estimate.memory(shape, load, sft(root, profile="h200-7b-full", workers=n, base=root / "base")) for n in (1, 8)
    )
    assert one.gradients + one.optimiser == 12 * shape.language
    assert one.weights == pytest.approx(4 * (shape.language + shape.tower), rel=0.03)
    assert eight.gradients + eight.optimiser == 12 * (shape.layers / 8 + shape.outside)
    qlora = sft(root, tune="qlora", gpu=True, dtype="bf16")
    lora = sft(root, tune="lora", dtype="bf16")
    assert estimate.memory(shape, load, qlora).weights < 0.5 * estimate.memory(shape, load, lora).weights
    checkpointed = estimate.memory(shape, load, sft(root, checkpointing=True))
    assert checkpointed.activations < 0.3 * estimate.memory(shape, load, sft(root)).activations


SMALL = Shape(
    tower=10, layers=1000, outside=100, linear=(), contract=Contract(),
    text=room.Size(depth=4, hidden=8, mlp=16, vocabulary=100, kv_width=4, width=4),
)  # fmt: skip
FEW = Load("", 1, a_step=60.0, trained=20.0, row=30.0, longest=30.0, kept=5.0, every=1)


@pytest.mark.parametrize(
    ("said", "weights", "moving"),
    [
        # a worker's half of the layers and all that is outside, the tower; two of four layers whole, two bytes a value
        ({"parallel": "fsdp2", "workers": 2}, 4 * (500 + 100) + 4 * 10 + 2 * 2 * 250, 600),
        # everything; and autocast's copy of the language side
        ({"workers": 2}, 4 * 1100 + 4 * 10 + 2 * 1100, 1100),
        ({"workers": 2, "dtype": "fp32"}, 4 * 1100 + 4 * 10, 1100),
    ],
    ids=["fsdp2", "ddp", "fp32"],
)
def test_every_byte_of_a_small_worker_is_told(root: Path, said: dict[str, object], weights: int, moving: int) -> None:
    """Worked out by hand: rows of 30 tokens, a third predicted, more than a micro-batch was to have."""
    config = sft(root, **{"dtype": "bf16", "micro_tokens": 20} | said)
    wide = 2 if config.dtype == "bf16" else 4
    layers, scores, mask = 4 * 30 * (12 * 8 + 3 * 16) * wide, 3 * 4 * 100 * 10, 30 * 30 * (1 + wide)
    found = estimate.memory(SMALL, FEW, config)
    assert found == estimate.Memory(weights, 0.0, 4 * moving, 8 * moving, layers + scores + mask, 5 * 8 * wide)
    assert found.activations - estimate.memory(SMALL, FEW, config.model_copy(update={"gpu": True})).activations == mask
    checkpointed = estimate.memory(SMALL, FEW, config.model_copy(update={"checkpointing": True}))
    assert checkpointed.activations == layers / 4 + 4 * 30 * 8 * wide + scores + mask


@pytest.mark.parametrize(("dtype", "width"), [("bf16", 2), ("fp32", 4)])
def test_layers_are_whole_while_their_workers_answer(root: Path, dtype: str, width: int) -> None:
    config = rl(root, dtype=dtype)
    shape = shape_of(config.sft)
    load = load_of(shape.contract, config)
    alone, spread = (estimate.memory(shape, load, config.model_copy(update={"parallel": p})) for p in ("ddp", "fsdp2"))
    assert spread.answers == alone.answers + width * shape.layers


def test_a_twentieth_of_a_device_stays_free(root: Path) -> None:
    config = sft(root)
    shape = shape_of(config.base)
    need = estimate.memory(shape, load_of(shape.contract, config), config).total
    estimate.check("sft", config.base, config.model_copy(update={"device_gb": need / 0.949e9}))
    with pytest.raises(BadInput, match="sft can't fit its device"):
        estimate.check("sft", config.base, config.model_copy(update={"device_gb": need / 0.951e9}))


@pytest.mark.parametrize(
    ("said", "copied"),
    [
        ({"kl": "k3"}, 4),
        ({"kl": "k3", "parallel": "fsdp2", "dtype": "bf16"}, 4),  # copied before it is spread
        ({"kl": "k3", "tune": "lora"}, 0),
        ({"kl": "none"}, 0),
    ],
)
def test_a_reference_that_is_a_copy_is_counted(root: Path, said: dict[str, object], copied: int) -> None:
    """As it is really kept: the bytes of the copy's own parameters, those of the tower are shared."""
    shape = shape_of(root / "base")
    found = estimate.memory(shape, load_of(shape.contract, rl(root)), rl(root, **said))
    assert found.reference == copied * shape.language
    if copied:
        vlm = folders.load(root / "base").vlm
        own = {id(p) for p in vlm.parameters()}
        extra = [p for p in Reference(vlm)._vlm.parameters() if id(p) not in own]  # pyright: ignore[reportPrivateUsage]
        assert found.reference == sum(p.nbytes for p in extra)


def test_answers_and_an_update_do_not_lie_there_together(root: Path) -> None:
    shape = shape_of(root / "base")
    many = estimate.memory(shape, load_of(shape.contract, rl(root)), rl(root, max_tokens=4000))
    stays = many.weights + many.optimiser + many.pictures
    assert many.answers > many.gradients + many.activations
    assert many.total == stays + many.answers
    few = estimate.memory(shape, load_of(shape.contract, rl(root)), rl(root, rows=1, max_boxes=0))
    assert few.total == few.weights + few.optimiser + few.pictures + few.gradients + few.activations


def test_a_pools_answers_are_on_its_engines(root: Path) -> None:
    shape = shape_of(root / "base")
    config = rl(root, rollout="pool", images=2, volumes=1)
    load = load_of(shape.contract, config)
    worker, engine = estimate.memory(shape, load, config), estimate.engine_memory(shape, load, config)
    assert worker.answers == worker.pictures == 0 < engine.answers
    assert engine.weights == 4 * (shape.language + shape.tower)
    told = list(estimate.lines("rl", root / "base", config))
    assert [line for line in told if line.startswith("memory") and "GB an engine: weights" in line]
    with pytest.raises(BadInput, match="rl can't fit its device") as refused:
        estimate.check("rl", root / "base", config.model_copy(update={"device_gb": worker.total / 0.94e9}))
    assert "wanted by an engine of a worker of 2" in refused.value.where


@pytest.mark.parametrize("profile", ["h200-3b-lora", "h200-7b-full", "cluster-7b"])
def test_every_gpu_profile_fits_its_machine_and_rl_only_with_its_budgets(root: Path, profile: str) -> None:
    base = SftConfig.model_validate({"profile": profile}).base
    assert list(estimate.lines("sft", base, sft(root, profile=profile, base=base)))
    config = rl(root, profile=profile)
    assert list(estimate.lines("rl", base, config))
    with pytest.raises(BadInput, match="rl can't fit its device") as refused:
        estimate.check("rl", base, config.model_copy(update={"max_slices": None, "rows": 256, "max_boxes": 12}))
    assert refused.value.where.endswith("most of it answers")
    assert refused.value.next == "lower rows, max_slices, max_boxes or max_tokens"


@pytest.mark.parametrize("said", [{}, {"max_slices": 1, "max_boxes": 2}, {"rows": 3}, {"dtype": "bf16"}], ids=str)
def test_a_start_asks_for_the_room_that_its_plan_foresaw(
    root: Path, said: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine wants of a device before it answers is what the dry run told, about."""
    config = rl(root, **{"images": 3, "volumes": 2, "group": 4, "max_tokens": 300, "steps": 1, "workers": 1} | said)
    wanted: list[int] = []
    check = room.check

    def heard(needed: int, device: torch.device, room_mb: int | None) -> None:
        wanted.append(needed)
        check(needed, device, room_mb)

    monkeypatch.setattr(room, "check", heard)
    monkeypatch.setattr(engine, "draw", lambda scores, rollouts, _: [(ends, 0.0)] * len(rollouts))
    checkpoint = folders.load(config.sft)
    ends = checkpoint.vocabulary.turn_end
    train_rl(checkpoint, config, Workers(), FolderSaves(tmp_path), None)
    shape = shape_of(config.sft)
    width = 2 if config.dtype == "bf16" else 4
    foreseen = estimate.answering(shape, load_of(shape.contract, config), config, width)
    assert 0.9 * max(wanted) < foreseen < 1.33 * max(wanted)  # text is counted by characters, see `load`


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ({"profile": "h200-7b-full", "workers": 1, "device_gb": 80}, "raise the fewest workers; or take tune lora"),
        ({"profile": "h200-3b-lora", "device_gb": 6}, "take parallel fsdp2 and more workers; or lower lora.rank"),
        ({"micro_tokens": 10**6, "device_gb": 0.5}, "lower micro_tokens (now 1000000); set checkpointing"),
    ],
)
def test_what_can_not_fit_is_refused_in_four_lines(root: Path, said: dict[str, object], remedy: str) -> None:
    config = sft(root, **said)
    config = config.model_copy(update={"base": SftConfig.model_validate({"profile": said.get("profile", "tiny")}).base})
    start = root / "base" if "profile" not in said else config.base
    with pytest.raises(BadInput, match="sft can't fit its device") as refused:
        list(estimate.lines("sft", start, config))
    assert remedy in refused.value.next
    assert "device_gb: found" in refused.value.where
    assert len(refused.value.render().splitlines()) == 4


def test_a_run_that_can_not_fit_starts_no_ray(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="sft can't fit its device"):
        launch("sft", "base", sft(root, device_gb=0.001), train)
    assert not list((tmp_path / ".cache" / "ray").glob("sft-*"))
