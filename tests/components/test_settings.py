from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from components.bench.run import BenchConfig
from components.data.config import DataConfig
from components.evaluation.config import EvaluateConfig
from components.registry.gate import GateConfig
from components.settings import load, sections
from components.training.base.run import BaseConfig
from components.training.rl import RlConfig
from components.training.sft import SftConfig
from model.interface.errors import BadInput
from monitoring.windows import WatchConfig

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "data": DataConfig,
    "base": BaseConfig,
    "sft": SftConfig,
    "rl": RlConfig,
    "evaluate": EvaluateConfig,
    "bench": BenchConfig,
    "gate": GateConfig,
    "drift": WatchConfig,
}


class Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=0.1, gt=0)
    steps: int = 10


def params(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    return file


def test_only_what_differs_is_said(tmp_path: Path) -> None:
    assert load("step", Step, params(tmp_path, "step: {steps: 3}")) == Step(steps=3)
    assert load("step", Step, params(tmp_path, "step:")) == Step()
    assert load("step", Step, tmp_path / "absent.yaml") == Step()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("step: {learning_rat: 1}", "unknown key 'learning_rat' in section 'step'; did you mean 'learning_rate'?"),
        ("step: {zzz: 1}", "unknown key 'zzz' in section 'step'; known: learning_rate, steps"),
        ("step: {learning_rate: -1}", "step.learning_rate is -1: Input should be greater than 0"),
        ("step: {learning_rate: high}", "step.learning_rate is 'high': Input should be a valid number"),
        ("drfit: {}", "unknown section 'drfit'; did you mean 'drift'?"),
        ("step: 3", "section 'step' is 3, expected key: value lines"),
        ("- 3", "the file holds a list, expected sections"),
        ("a: b: c", "not readable as YAML"),
        ("step: {steps: 3, steps: 4}", "not readable as YAML: the key 'steps' twice"),
        ("a: &a [1, 1]\nb: [*a, *a]", "not readable as YAML: an alias"),
        ("step: {learning_rate: .nan}", "step.learning_rate is nan"),
        ("step: {learning_rate: .inf, steps: 1.5}", "step.steps is 1.5"),
        ("x" * 70_000, "the file holds 70000 characters"),
        ("step: !!python/object/apply:os.system [ls]", "not readable as YAML"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_words(tmp_path: Path, text: str, told: str) -> None:
    file = params(tmp_path, text)
    with pytest.raises(BadInput) as error:
        load("step", Step, file)
    assert error.value.what.startswith(told)
    assert str(file) in error.value.where


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    assert load("step", Step, params(tmp_path, "step: {learning_rate: 1e-4}")).learning_rate == 1e-4


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    for name in ("loop.yaml", "bytes.yaml"):
        with pytest.raises(BadInput, match="can't be read"):
            sections(tmp_path / name)
    assert sections(params(tmp_path, "")) == {}


def test_a_yaml_error_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        sections(params(tmp_path, "a: 1\n\tb: 2\n"))
    assert "line 2" in error.value.where


def test_the_projects_own_params_are_read_by_their_steps() -> None:
    """Every section has a step, every step's section loads."""
    assert set(sections(ROOT / "params.yaml")) <= set(CONFIGS)
    for section, cls in CONFIGS.items():
        load(section, cls, ROOT / "params.yaml")


def test_every_stage_of_the_graph_has_its_section() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {name for name, stage in stages.items() if stage["params"] != [name]} == set()
    assert set(stages) <= set(sections(ROOT / "params.yaml"))


@pytest.mark.parametrize("cls", list(CONFIGS.values()), ids=list(CONFIGS))
def test_configs_are_frozen_and_take_no_unknown_key(cls: type[BaseModel]) -> None:
    assert cls.model_config.get("frozen")
    assert cls.model_config.get("extra") == "forbid"
