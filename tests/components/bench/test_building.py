"""The bench's own set passes the gates of a build."""

from components.bench import building
from components.data.cot import build
from components.data.cot.plan import CotConfig, Source


def test_the_set_that_is_timed_is_built_without_a_complaint(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "FILES", 8)
    monkeypatch.setattr(building, "SHAPE", (64, 64, 32))
    source = Source(name="folder", root=building._written(tmp_path / "set"))
    config = CotConfig(sources=(source,), out=tmp_path / "out", workers=1, cases_per_shard=8, slices=2)
    receipts = build.run(config)
    assert sum(receipt["cases"] for receipt in receipts) == 8
    assert not any(receipt["sides"]["checked"] for receipt in receipts), "ellipsoids lie anywhere: no sides in names"
