"""Against a real DVC in a repository of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from flows.stages import plan, reproduce
from model.interface.errors import BadInput, Failure

ROOT = Path(__file__).parents[2]
REFUSE = (
    "import sys; print('error: no such file', file=sys.stderr); print('  where: there', file=sys.stderr); sys.exit(2)"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    stages = {
        "last": {"cmd": "cp middle last", "deps": ["middle"], "outs": ["last"]},
        "middle": {"cmd": "cp first middle", "deps": ["first"], "outs": ["middle"]},
        "first": {"cmd": "echo 1 > first", "outs": ["first"]},
        "refused": {"cmd": f'python -c "{REFUSE}"', "outs": ["never"]},
        "broken": {"cmd": "python -c 'import nothing_of_that_name'", "outs": ["nothing"]},
        "endless": {"cmd": "sh -c 'echo $$ > pid; sleep 600'", "outs": ["late"]},
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def test_a_stage_comes_after_what_it_needs() -> None:
    order = plan()
    assert order.index("first") < order.index("middle") < order.index("last")


def test_a_stage_runs_once() -> None:
    assert reproduce("first") == "ran"
    assert reproduce("first") == "up to date"
    assert reproduce("last", upstream=True) == "ran"
    assert reproduce("middle") == "up to date"


def test_a_stages_own_error_and_exit_code_come_through() -> None:
    with pytest.raises(BadInput) as error:
        reproduce("refused")
    assert error.value.what == "stage 'refused' failed: no such file"
    assert "dvc repro refused" in error.value.next


def test_a_crash_is_told_by_its_last_words() -> None:
    with pytest.raises(Failure, match="No module named 'nothing_of_that_name'") as error:
        reproduce("broken")
    assert error.value.exit_code == 1


def test_a_stage_out_of_time_leaves_nothing_running() -> None:
    with pytest.raises(Failure, match="stage 'endless' failed"):
        reproduce("endless", timeout_s=15)
    pid = int(Path("pid").read_text())
    for _ in range(50):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    os.kill(pid, 9)
    pytest.fail("the stage outlived its time")


def test_the_projects_graph_is_the_chain_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    order = plan()
    assert set(order) == {"data", "base", "sft", "rl", "evaluate", "confidence", "consistency", "audit"}
    chain = [stage for stage in order if stage not in ("confidence", "audit")]
    assert chain[-4:] == ["sft", "rl", "evaluate", "consistency"]
    assert order.index("rl") < min(order.index("confidence"), order.index("audit"))
