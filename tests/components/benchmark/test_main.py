"""The command line."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from components.benchmark.__main__ import command
from components.benchmark.run import run
from tests.components import world
from tests.components.data.test_rewriter import endpoint, saying
from tests.components.data.vqa import layouts


@pytest.mark.parametrize(
    ("text", "found"), [(None, "No such file or directory"), ("{}", "set: Field required"), ("no", "Invalid JSON")]
)
def test_a_result_to_set_beside_is_read_before_anybody_is_asked(text: str | None, found: str, tmp_path: Path) -> None:
    root, earlier = layouts.hub(tmp_path / "rad", val=False), tmp_path / "result.json"
    if text is not None:
        earlier.write_text(text)
    app = typer.Typer()
    app.command()(command)
    with endpoint(saying("A. Yes")) as (url, asked):
        told = ["--set", "vqa_rad", "--source", str(root), "--endpoint", url, "--model", "m", "--beside", str(earlier)]
        outcome = CliRunner().invoke(app, [*told, "--out", str(tmp_path / "out")])
    assert outcome.exit_code not in (0, 1)
    assert "not a result to set beside" in outcome.stderr and f"found {found}" in outcome.stderr
    assert not asked and not (tmp_path / "out").exists()


def test_an_earlier_result_is_set_beside(tmp_path: Path) -> None:
    root = layouts.hub(tmp_path / "rad", val=False)
    run("vqa_rad", root, tmp_path / "out", checkpoint=world.checkpoint(tmp_path / "tiny"))
    app = typer.Typer()
    app.command()(command)
    with endpoint(saying("A. Yes")) as (url, _):
        told = ["--set", "vqa_rad", "--source", str(root), "--endpoint", url, "--model", "peer"]
        told += ["--beside", str(tmp_path / "out/vqa_rad-tiny/result.json"), "--out", str(tmp_path / "out")]
        outcome = CliRunner().invoke(app, told)
    assert outcome.exit_code == 0, outcome.stderr
    assert "| peer" in outcome.stdout and "| tiny" in outcome.stdout.splitlines()[0]
