"""Cells really trained on the small world, then compared."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from components.ablation import cell, claims
from components.ablation.cell import Saves, run, seen_by, trained
from components.ablation.cells import Cell, Reinforcement
from components.compare import runs
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from tests.components import world
from tests.components.ablation.small import PLAN


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cells and seeds, made once."""
    folder = tmp_path_factory.mktemp("ablation")
    world.data(folder / "data")
    world.checkpoint(folder / "base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell, "KEPT", folder / "kept")
        for seed in PLAN.seeds:
            for name in ("joint-rl", "joint", "no-crops"):  # RL first: it makes its forerunner by itself
                make(name, seed, folder)
    return folder


def make(name: str, seed: int, folder: Path, out: str = "results") -> dict:
    return run(name, seed, planned=PLAN, data=folder / "data", base=folder / "base", out=folder / out)


def test_each_seed_leaves_its_numbers_and_its_answers(place: Path) -> None:
    files = sorted(path.relative_to(place / "results").as_posix() for path in (place / "results").rglob("*.*"))
    wanted = [
        f"cells/{name}/{seed}.{kind}" for name in PLAN.cells for seed in PLAN.seeds for kind in ("json", "jsonl.gz")
    ]
    assert files == sorted(wanted)
    told = json.loads((place / "results/cells/joint/1.json").read_text())
    assert told["test"]["3d"]["accuracy"]["n"] == 6
    assert told["title"] == "SFT: 2D + 3D, grounded, native crops"
    assert not any(name.startswith("by_") for name in told["test"]["3d"])
    drawn = {name: json.loads((place / f"results/cells/{name}/1.json").read_text()) for name in PLAN.cells}
    counted = {name: some["test"]["2d"]["sampled_accuracy"]["n"] for name, some in drawn.items() if name != "no-crops"}
    assert counted == {"joint": 6, "joint-rl": 6}
    assert "sampled_accuracy" not in drawn["no-crops"]["test"]["2d"]  # nobody goes on from it


def test_the_same_cell_is_the_same_bytes_and_another_seed_is_not(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "KEPT", place / "again")
    make("no-crops", 0, place, out="again-results")
    for kind in ("json", "jsonl.gz"):
        first = place / "results/cells/no-crops" / f"0.{kind}"
        assert (place / "again-results/cells/no-crops" / f"0.{kind}").read_bytes() == first.read_bytes()
    digests = [json.loads((place / f"results/cells/joint/{k}.json").read_text())["digests"] for k in PLAN.seeds]
    assert digests[0]["checkpoint"] != digests[1]["checkpoint"]
    assert digests[0]["data"] == digests[1]["data"]


def test_checkpoints_are_kept_only_for_those_who_go_on_from_them(place: Path) -> None:
    kept = sorted(path.name.rsplit("-", 1)[0] for path in (place / "kept").iterdir())
    assert kept == ["joint-0", "joint-1"]


def test_what_is_shared_is_trained_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "KEPT", place / "kept")
    before = {path: path.stat().st_mtime_ns for path in (place / "kept").rglob("*.safetensors")}
    longer = PLAN.model_copy(update={"rl": Reinforcement(steps=3)})  # is nothing to what RL goes on from
    for planned in (PLAN, longer):
        trained("joint", 0, planned, place / "data", place / "base")
    assert {path: path.stat().st_mtime_ns for path in (place / "kept").rglob("*.safetensors")} == before


def test_two_that_go_on_from_the_same_cell_make_it_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "KEPT", place / "kept")
    ready = trained("joint", 0, PLAN, place / "data", place / "base")
    monkeypatch.setattr(cell, "KEPT", place / "beside")
    monkeypatch.setattr(cell.sft, "train", lambda *_: pytest.fail("trained twice"))
    (place / "beside-locks").mkdir()
    with ThreadPoolExecutor(1) as pool:
        with FileLock(place / "beside-locks" / ready.name):  # somebody makes it
            waiting = pool.submit(trained, "joint", 0, PLAN, place / "data", place / "base")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            shutil.copytree(ready, place / "beside" / ready.name)
        assert waiting.result(timeout=30) == place / "beside" / ready.name


def test_rl_is_not_paired_with_answers_of_another_forerunner(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "KEPT", place / "kept")
    told = json.loads((place / "results/cells/joint/0.json").read_text())
    told["digests"]["checkpoint"] = "0" * 64
    (place / "other/cells/joint").mkdir(parents=True)
    (place / "other/cells/joint/0.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="not the one that was asked") as error:
        make("joint-rl", 0, place, out="other")
    assert "wanted 000000000000" in error.value.where and "sft@joint-0" in (error.value.next or "")


def test_a_cells_contract_is_in_its_checkpoint(place: Path) -> None:
    base = folders.load(place / "base")
    assert seen_by(Cell(crops="elsewhere"), base).contract.crop_source == "elsewhere"
    assert seen_by(Cell(crops="none"), base).contract.crop_slices == 0
    assert seen_by(Cell(), base).contract == base.contract


def test_answers_can_be_compared_without_data_or_checkpoint(place: Path) -> None:
    rows = claims.run(PLAN, place / "results")
    assert [row.found.n for row in rows] == [6, 6, 6]
    assert all(row.found.seeds == 2 and row.found.value is not None for row in rows)
    assert all(row.verdict == "not measured" for row in rows)  # six heads tell no interval
    told = json.loads((place / "results/claims.json").read_text())
    assert told[0]["cells"] == ["joint", "no-crops"]
    assert {"claim", "metric", "difference", "low", "high", "seeds", "n"} <= set(told[0])
    assert len(json.loads((place / "results/cells.json").read_text())) == 6
    page = (place / "results/index.html").read_text()
    assert "crops help" in page and "<svg" in page and "Leaderboard" in page
    first = page
    claims.run(PLAN, place / "results")
    assert (place / "results/index.html").read_text() == first


def test_a_missing_seed_is_named(place: Path) -> None:
    more = PLAN.model_copy(update={"seeds": (0, 1, 7)})
    with pytest.raises(BadInput, match="not finished") as error:
        claims.run(more, place / "results")
    assert "no seed 7" in error.value.where


def test_answers_survive_and_become_traces_again(place: Path) -> None:
    found = runs.load(place / "results/cells/joint")
    assert set(found.seeds) == {0, 1}
    rows = list(found.seeds[0].values())
    assert len(rows) == 12
    runs.write(place / "copy.jsonl.gz", rows)
    assert (place / "copy.jsonl.gz").read_bytes() == (place / "results/cells/joint/0.jsonl.gz").read_bytes()


def test_a_killed_training_goes_on_from_its_last_state(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies behind its only save; begun again, it has nothing left to train, and ends with the same weights."""
    monkeypatch.setattr(cell, "KEPT", place / "killed")
    calm = Saves.save

    def dying(self: Saves, *told, **how) -> None:
        calm(self, *told, **how)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(Saves, "save", dying)
        with pytest.raises(InterruptedError):
            trained("joint", 0, PLAN, place / "data", place / "base")
    said = []
    monkeypatch.setattr(Saves, "say", lambda self, line: said.append(line))
    again = trained("joint", 0, PLAN, place / "data", place / "base")
    assert "4 steps" in said[0] and "from step 4" in said[0]
    told = json.loads((place / "results/cells/joint/0.json").read_text())
    assert folders.verify(again) == told["digests"]["checkpoint"]
    assert [path.name for path in (place / "killed").iterdir()] == [again.name]


def test_a_cell_that_is_not_there_is_told_in_four_lines(capsys: pytest.CaptureFixture) -> None:
    assert cell.main(["joined", "0"]) == 2
    assert "found 'joined', wanted one of joint" in capsys.readouterr().err


def test_a_cells_reward_and_budget_reach_the_rl_stage() -> None:
    config = cell.rl_config(Cell(after="joint", reward="ours+iou"), PLAN, Path("data"), 3)
    assert (config.reward, config.seed, config.steps, config.group) == ("ours+iou", 3, 2, 2)
    assert (config.workers, config.threads) == (1, 1)  # in this process
