"""A plan is right where it can be checked, and what can't fit is refused by name."""

from pathlib import Path

import pytest

from components.training import estimate
from components.training.examples import examples
from components.training.launch import launch
from components.training.rl import RlConfig
from components.training.sft import SftConfig, train
from components.training.shapes import shape_of
from components.training.strategies import open_base, tuned
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from tests.components import world


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("estimate")
    world.checkpoint(root / "base")
    world.data(root / "data")
    return root


def sft(root: Path, **said: object) -> SftConfig:
    return SftConfig.model_validate({"base": root / "base", "data": root / "data", "studies": 6, "epochs": 3} | said)


def test_steps_and_tokens_are_those_of_the_run(root: Path) -> None:
    config = sft(root)
    _, mine = examples(config.data, "train", folders.load(config.base))
    rows = [one.row(range(len(one.branches))) for one in mine.values()]
    load = estimate.load_of(shape_of(config.base).contract, config)
    assert load.steps == 6
    # this tokenizer knows 700 tokens and needs more of them than a real one: words are counted by characters
    shown = 6 * sum(sum(row.shared.is_picture) for row in rows) / len(rows)
    assert shown < load.a_step < 6 * sum(map(len, rows)) / len(rows)


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_what_moves_is_what_is_trained(root: Path, tune: str) -> None:
    config = sft(root, tune=tune)
    found = tuned(open_base(config.base, config), config)
    assert estimate.moves(shape_of(config.base), config) == sum(p.numel() for p in found.values())


def test_a_plan_names_every_part(root: Path) -> None:
    told = list(estimate.lines("sft", root / "base", sft(root)))
    assert [line.split()[0] for line in told] == ["stage", "parameters", "data", "step", "run", "memory", "state"]
    assert "12 rows: 6 images, 6 volumes" in told[2]
    rl = RlConfig(sft=root / "base", data=root / "data", images=2, volumes=1, group=4)
    told = list(estimate.lines("rl", root / "base", rl))
    assert "6 questions about images, 6 about volumes; 2 + 1 a step, 4 answers each" in told[2]
    assert not told[5].endswith("KV 0.00") or "KV" in told[5]


def test_memory_of_known_runs(root: Path) -> None:
    """Weights, gradients and moments of a 7B model are 16 bytes a parameter, and shared by FSDP2's workers."""
    load = estimate.Load("", 1, 8192.0, 2048.0, 8192.0, 0.0, 1)
    shape = shape_of(Path("Qwen/Qwen2.5-VL-7B-Instruct"))
    one, eight = (
        estimate.memory(shape, load, sft(root, profile="h200-7b-full", workers=n, base=root / "base")) for n in (1, 8)
    )
    assert one.gradients + one.optimiser == 12 * shape.language
    assert one.weights == pytest.approx(4 * (shape.language + shape.tower), rel=0.03)
    assert eight.gradients + eight.optimiser == 12 * (shape.layers / 8 + shape.outside)
    qlora = sft(root, tune="qlora", dtype="bf16")
    lora = sft(root, tune="lora", dtype="bf16")
    assert estimate.memory(shape, load, qlora).weights < 0.5 * estimate.memory(shape, load, lora).weights
    checkpointed = estimate.memory(shape, load, sft(root, checkpointing=True))
    assert checkpointed.activations < 0.3 * estimate.memory(shape, load, sft(root)).activations


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
    config = config.model_copy(update={"base": SftConfig(profile=said.get("profile", "tiny")).base})
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
