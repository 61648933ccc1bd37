from pathlib import Path
from types import ModuleType

import pytest

from components.data.cot import build
from components.data.cot.plan import CotConfig, Source
from components.data.sources import registry
from tests.components.data.cot import blobs


@pytest.fixture(scope="session")
def blob_source() -> ModuleType:
    """`blobs` among the adapters, in this process and those it forks."""
    before = registry.adapter
    registry.adapter = lambda name: blobs if name == blobs.NAME else before(name)  # type: ignore[assignment]
    return blobs


@pytest.fixture(scope="session")
def built(blob_source: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> CotConfig:
    """A build of 120 bodies with all there is to ask about them."""
    config = config_of(tmp_path_factory.mktemp("cot") / "data", cases=120)
    build.run(config)
    return config


def config_of(out: Path, cases: int, **changed: object) -> CotConfig:
    source = Source(name=blobs.NAME, cases=cases)
    settings = {"cases_per_shard": 50, "slices": 6, "questions": (8.0, 24.0), "workers": 2} | changed
    return CotConfig(sources=(source,), out=out, **settings)  # type: ignore[arg-type]
