"""Under real Ray, killed for real: nothing is lost, no step is logged twice, nobody is left behind."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from components import cluster
from components.tracking import send_waiting
from components.training import launch, ownership, progress, rl, runs, sft
from components.training.alarms import AlarmConfig
from components.training.launch import STORAGE, Workers
from components.training.rl_config import RlConfig
from components.training.sft import SftConfig
from components.training.states import States, verify
from model.interface.errors import BadInput, Conflict
from model.vlm import checkpoint as folders
from tests.components import world
from tests.components.test_tracking import history
from tests.components.test_tracking import runs as logged
from tests.components.training import answers, workers
from tests.components.training.drivers import Driver
from tests.components.training.test_rl import Drawn
from tests.components.training.test_sft import FolderSaves

PER_EPOCH = 2
STATES = (progress.WEIGHTS, progress.OPTIMISER)
Start = Callable[[str, Any], Driver]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts drivers in a folder of the test; what is left of them when it fails is ended."""
    some: list[Driver] = []

    def begin(stage: str, config: Any) -> Driver:
        some.append(Driver(stage, tmp_path, config))
        return some[-1]

    yield begin
    for driver in some:
        driver.end()


def sft_config(root: Path, **told: Any) -> SftConfig:
    settings: dict[str, Any] = {"epochs": 1, "studies": 6, "micro_tokens": 300, "save_every": 1, "lr": 1e-2}
    return SftConfig(
        base=world.checkpoint(root / "base"),
        data=world.data(root / "data"),
        out=root / "out",
        results=root / "m.json",
        **settings | told,
    )


class Nodes:
    """A cluster of two machines with a CPU each, as far as Ray can tell. The second can be lost and come back."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.scratch = tempfile.mkdtemp(prefix=cluster.PREFIX, dir=cluster.PLACE)
        self.told = {"num_cpus": 1, "include_dashboard": False, "temp_dir": self.scratch}
        self.all = Cluster(initialize_head=True, head_node_args=self.told)
        self.address = self.all.address
        self.come()

    def come(self) -> None:
        self.second = self.all.add_node(num_cpus=1, temp_dir=self.scratch)

    def lose(self) -> None:
        """kill -9 of everything there, a train worker included."""
        self.all.remove_node(self.second, allow_graceful=False)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    from ray._private import utils

    monkeypatch.setattr(utils, "write_ray_address", lambda *_: None)  # others' "auto" is not ours
    for name, value in {"period_ms": 500, "timeout_ms": 2000, "failure_threshold": 3}.items():
        monkeypatch.setenv(f"RAY_health_check_{name}", str(value))
    cluster._make_token()
    some = Nodes()
    yield some
    some.all.shutdown()
    shutil.rmtree(some.scratch, ignore_errors=True)


class FirstSaves(FolderSaves):
    """By its first worker, after a state that is there already."""

    def __init__(self, folder: Path, last: Path | None, stop_after: int, rank: int) -> None:
        super().__init__(folder, stop_after)
        self.begin, self.rank = last, rank

    def last(self) -> Path | None:
        return self.begin

    def save(self, write, metrics, *, first):
        self.count += 1
        if self.rank == 0:
            folder = self.folder / str(self.count)
            folder.mkdir(parents=True)
            write(folder)
        if self.count == self.stop_after:
            raise InterruptedError


def _undisturbed(rank: int, config: SftConfig, folder: Path, begin: Path | None, steps: int) -> list[float]:
    """So many steps by two workers; the loss of each."""
    drawn, saves = Drawn(), FirstSaves(folder, begin, steps, rank)
    with pytest.raises(InterruptedError):
        sft.train(folders.load(config.base), config, Workers(rank, 2), saves, drawn)
    return [figures["loss"] for figures in drawn.figures.values()]


def _twice(rank: int, config: SftConfig, root: Path, steps: int, begin: Path, more: int) -> list[float]:
    losses = _undisturbed(rank, config, root / "calm", None, steps)
    _undisturbed(rank, config, root / "after", begin, more)
    return losses


def same(some: Path, other: Path) -> bool:
    return all((some / name).read_bytes() == (other / name).read_bytes() for name in STATES)


def test_workers_are_lost_and_come_back_and_the_run_goes_on(tmp_path: Path, start: Start, nodes: Nodes) -> None:
    """One of two machines is lost and comes back; killed, the driver goes on elsewhere, from an epoch's end."""
    config = sft_config(tmp_path, epochs=500, keep=10**6, lr=1e-3, workers=(1, 2), resize_s=0.5, address=nodes.address)
    first = start("sft", config)
    first.until(lambda: first.step() >= 3)
    nodes.lose()
    first.until(lambda: "1 workers, from step" in first.said(), 240)
    [alone] = [line for line in first.said().splitlines() if "1 workers, from step" in line]
    lost = int(alone.rpartition(" ")[2])
    first.until(lambda: first.step() >= lost + 2)
    nodes.come()
    first.until(lambda: first.said().count("2 workers, from step") == 2)
    back = first.step()
    first.until(lambda: first.step() >= back + 3)
    first.kill()
    states = first.states().folder
    before = first.step()
    end = (before - 1) // PER_EPOCH * PER_EPOCH
    for step in range(end + 1, before + 1):
        damaged = states / f"step-{step:07d}" / progress.WEIGHTS
        damaged.write_bytes(damaged.read_bytes()[:-1])
    again = start("sft", config.model_copy(update={"address": None, "workers": 2}))
    again.until(lambda: again.step() >= before + 2 and f"2 workers, from step {end}\n" in again.said())
    again.kill()
    assert f"a state is damaged: step-{before:07d}/{progress.WEIGHTS}" in again.said()

    after = before + 2 - end
    losses, _ = workers.run(_twice, 2, config, tmp_path, before, states / f"step-{end:07d}", after)
    assert same(tmp_path / "calm" / str(lost), states / f"step-{lost:07d}")
    assert same(tmp_path / "after" / str(after), states / f"step-{before + 2:07d}")
    send_waiting()
    [run] = logged("sft")
    drawn = history(run, "loss")
    assert [step for step, _ in drawn] == list(range(1, len(drawn) + 1))
    assert len(drawn) >= before + 2
    told = [loss for _, loss in drawn[:before]]
    assert told[:lost] == losses[:lost]
    gap = max(abs(x - y) for x, y in zip(told, losses, strict=True))
    assert gap < 0.05, (gap, lost, back, before)
    again.until(lambda: not [*first.left(), *again.left()])


def rl_config(root: Path) -> RlConfig:
    return answers.config(
        root,
        out=root / "out",
        results=root / "m.json",
        max_tokens=100,
        group=8,
        lr=1e-2,
        steps=8,
        save_every=2,
        workers=1,
        kl="k3",
        kl_beta=0.1,
        alarms=AlarmConfig(window=2, entropy=1.1),
    )


def drawn_of(place: str) -> int:
    """The last step of a stage that was drawn, saved or not."""
    [file] = (Path(os.environ["URM_HOME"]) / "curves").glob(f"{place}-*.jsonl")
    steps = [json.loads(line).get("step", 0) for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"]
    return max(steps, default=0)


def test_rl_killed_and_killed_again_ends_where_it_would_have(tmp_path: Path, start: Start) -> None:
    """The driver with a step in hand that no state holds, its last state damaged; then the worker of the next one."""
    config = rl_config(tmp_path)
    storage = tmp_path / STORAGE
    old = storage / f"rl-{runs.output(storage, config.out)}-interrupted" / "states" / "step-0000009"
    other = storage / "rl-00000000-interrupted" / "states" / "step-0000009"
    for place in (old, other):
        place.mkdir(parents=True)
    first = start("rl", config)
    first.until(lambda: first.step() >= 4 and drawn_of("rl") >= 5)
    first.kill()
    assert old.is_dir()
    damaged = first.states().folder / f"step-{first.step():07d}" / progress.WEIGHTS
    damaged.write_bytes(damaged.read_bytes()[:-1])
    again = start("rl", config)
    again.until(lambda: again.step() >= 6 and drawn_of("rl") >= 7)
    assert f"a state is damaged: {damaged.parent.name}/{progress.WEIGHTS}" in again.said()
    [worker] = again.workers()
    worker.kill()
    again.until(lambda: again.process.poll() is not None)
    assert again.process.returncode == 0, again.said()
    again.until(lambda: not [*first.left(), *again.left()])  # Ray's own agents look for theirs a while
    assert [path for path in storage.iterdir() if path.is_dir()] == [other.parents[1]]  # published

    calm = Drawn()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    position = rl.train(folders.load(config.sft), config, Workers(), FolderSaves(tmp_path / "calm"), calm)
    torch.set_num_threads(threads)
    assert position.tokens > 0
    told = json.loads((tmp_path / "m.json").read_text())
    del told["checkpoint"]
    assert told == {"steps": 8, "tokens": position.tokens, **position.notes}
    trained = dict(folders.load(tmp_path / "out").vlm.named_parameters())
    for name, expected in progress.load_file(tmp_path / "calm" / "003" / progress.WEIGHTS).items():
        assert trained[name].equal(expected), name
    send_waiting()
    [run] = logged("rl")
    for figure in ("reward", "tokens", "groups", "flat", "kl_reference"):
        assert history(run, figure) == [(step, pytest.approx(calm.figures[step][figure])) for step in range(1, 9)]


def test_a_second_driver_of_an_output_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its profile and stage; one of another output is not."""
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {"out": tmp_path / "out", "results": tmp_path / "m.json", "data": tmp_path / "none"}
    tiny, large = SftConfig(**told), SftConfig(profile="h200-3b-lora", base=tmp_path / "none", **told)
    with ownership.sole_driver(Path("out"), "rl"):
        for config in (tiny, large):
            with pytest.raises(Conflict, match="another process is training"):
                sft.run(config)
        with pytest.raises(BadInput, match="no data set here"):
            sft.run(tiny.model_copy(update={"out": tmp_path / "other"}))


def test_a_training_has_a_key_of_its_own_in_each_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its curves go by that alone. Who goes on with other workers keeps it; who trains otherwise doesn't."""
    monkeypatch.chdir(tmp_path)
    found: list[str] = []

    def fit(stage: str, run: Path, *_: Any) -> None:
        found.append(run.name.rpartition("-")[2])
        raise InterruptedError

    monkeypatch.setattr(launch, "_fit", fit)
    config = sft_config(tmp_path)
    for told in ({}, {"workers": 1, "keep": 5}, {"out": tmp_path / "other"}, {"lr": 1e-3}):
        with pytest.raises(InterruptedError):
            sft.run(config.model_copy(update=told))
    first, same_run, elsewhere, otherwise = found
    assert first == same_run
    assert len({first, elsewhere, otherwise}) == 3


def test_a_state_of_a_run_vouches_for_itself(tmp_path: Path) -> None:
    """What the run's first worker writes can be verified by anybody."""

    class Kept(FolderSaves):
        def save(self, write, metrics, *, first):
            verify(States(self.folder).write(write, metrics))

    config = sft_config(tmp_path)
    sft.train(folders.load(config.base), config, Workers(), Kept(tmp_path / "own"), None)
    last = States(tmp_path / "own").last(pytest.fail)
    assert last is not None
    assert progress.step_of(last) == PER_EPOCH
