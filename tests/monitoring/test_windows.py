from pathlib import Path

from monitoring.drift import DriftConfig
from monitoring.windows import WatchConfig, watch
from tests.components import world


def test_windows_are_asked_once_and_judged_each_time(tmp_path: Path) -> None:
    data, folder = world.data(tmp_path / "data"), world.checkpoint(tmp_path / "rl")
    config = WatchConfig(data=data, max_tokens=16, drift=DriftConfig(enough=4))
    first = watch(config, folder, tmp_path / "out")
    assert [(v.window, v.rows) for v in first] == [("steady", 12), ("shifted", 12)]
    kept = sorted((tmp_path / "out/rows").rglob("*.json"))
    assert [path.stem for path in kept] == ["reference", "shifted", "steady"]
    times = [path.stat().st_mtime_ns for path in kept]
    assert watch(config, folder, tmp_path / "out") == first
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_another_checkpoint_is_asked_anew(tmp_path: Path) -> None:
    data = world.data(tmp_path / "data", heads=2)
    config = WatchConfig(data=data, windows=("steady",), max_tokens=16)
    for seed in (0, 1):
        watch(config, world.checkpoint(tmp_path / f"rl{seed}", seed), tmp_path / "out")
    assert len(list((tmp_path / "out/rows").iterdir())) == 2
