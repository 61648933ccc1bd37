from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from components.bench.run import BenchConfig
from components.data.config import DataConfig
from components.data.cot.plan import CotConfig
from components.evaluation.confidence_config import ConfidenceConfig
from components.evaluation.config import AuditConfig, EvaluateConfig
from components.evaluation.consistency_config import ConsistencyConfig
from components.registry.gate import GateConfig
from components.settings import load, sections
from components.training.base.run import BaseConfig
from components.training.rl import RlConfig
from components.training.sft import SftConfig
from monitoring.windows import WatchConfig
from tests.components.step import Step

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "data": DataConfig,
    "cot": CotConfig,
    "base": BaseConfig,
    "sft": SftConfig,
    "rl": RlConfig,
    "evaluate": EvaluateConfig,
    "confidence": ConfidenceConfig,
    "consistency": ConsistencyConfig,
    "audit": AuditConfig,
    "bench": BenchConfig,
    "gate": GateConfig,
    "drift": WatchConfig,
}


def params(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    return file


def test_only_what_differs_is_said(tmp_path: Path) -> None:
    assert load("step", Step, params(tmp_path, "step: {steps: 3}")) == Step(steps=3)
    assert load("step", Step, params(tmp_path, "step:")) == Step()
    assert load("step", Step, params(tmp_path, "")) == Step()
    assert load("step", Step, tmp_path / "absent.yaml") == Step()


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    assert load("step", Step, params(tmp_path, "step: {learning_rate: 1e-4}")).learning_rate == 1e-4


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
