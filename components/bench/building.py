"""How a build grows: two workers beside one, and memory from two thousand samples to 220 thousand.

    python -m components.bench.building      -> results/bench/data_workers_2.json

Cases are NIfTI files of a folder, read as a user's are, and small bodies made on the fly for the long run. Wall time,
because processes are what is measured: the ways take turns, the least of two counts.
"""

import json
import sys
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from components.bench.run import machine
from components.bench.tracing import ORGANS, ellipsoids
from components.data.cot import build
from components.data.cot.plan import CotConfig, Shard, Source
from components.data.sources.case import Case, Labelled, outlines_of
from components.tracking import commit
from model.imaging.volume import Volume
from model.interface.writing import write_text

FILES, SHAPE = 96, (128, 128, 64)
LONG = 2_000, 220_000
"""Samples of the short and of the long build."""
SMALL = (48, 40, 24)
REPEATS = 2
OUT = Path("results/bench/data_workers_2.json")


def main() -> int:
    one, two = workers()
    figure = {
        "figure": "data_workers_2",
        "ratio": round(one / two, 2),
        "ours": {"seconds": round(two, 2), "memory_mb": None},
        "peer": {"seconds": round(one, 2), "memory_mb": None},
        "peer_is": "the same build from files by one worker instead of two, wall time",
        "equal": {"max_abs_diff": 0.0, "tolerance": 0.0},  # the same bytes: tests/components/data/cot/test_build.py
        "n": FILES,
        **memory(),
        "machine": machine().replace("1 thread", "2 processes"),
        "commit": commit(),
        "command": "python -m components.bench.building",
    }
    write_text(OUT, json.dumps(figure, indent=1) + "\n")
    sys.stderr.write(json.dumps(figure) + "\n")
    return 0


def workers() -> tuple[float, float]:
    """Seconds of the same build by one worker and by two, the least of several."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source = Source(name="folder", root=_written(folder / "set"))
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(REPEATS):
            for n in seconds:
                config = CotConfig(
                    sources=(source,), out=folder / f"{n}-{turn}", workers=n, cases_per_shard=8, slices=16
                )
                began = time.monotonic()
                build.run(config)
                seconds[n].append(time.monotonic() - began)
    return min(seconds[1]), min(seconds[2])


def memory() -> dict[str, Any]:
    """Most resident memory of the process that builds, MB, by the number of samples."""
    found = {}
    for wanted in LONG:
        with get_context("spawn").Pool(1) as pool:
            samples, peak, seconds = pool.apply(_long, (wanted,))
        found[str(samples)] = {"memory_mb": peak, "seconds": round(seconds, 1)}
    few, many = (row["memory_mb"] for row in found.values())
    return {"samples": found, "growth": round(many / few - 1, 3)}


def _long(wanted: int) -> tuple[int, int, float]:
    with tempfile.TemporaryDirectory() as place:
        config = CotConfig(out=Path(place) / "data", workers=1, cases_per_shard=32, questions=(8.0, 20.0))
        shards, samples, began = 0, 0, time.monotonic()
        config.out.mkdir()
        while samples < wanted:
            cases = tuple(_case(32 * shards + k) for k in range(32))
            receipt = build.make(Shard("train", shards, config.sources[0], cases), config)
            samples += sum(receipt["questions"].values())
            for path in config.out.glob("*.parquet"):
                path.unlink()  # the disk is not what is measured
            shards += 1
        status = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
        return samples, peak, time.monotonic() - began


def _case(seed: int) -> Case:
    return Case("bench", f"s{seed}", f"s{seed}", "train", "CC0", (), partial(_body, seed))


def _body(seed: int) -> Labelled:
    labels = ellipsoids(seed, SMALL, len(ORGANS))
    volume = Volume(20 * labels, np.eye(4), "CT", True, "axial")
    names = dict(enumerate(ORGANS, 1))
    return Labelled(volume, outlines_of(labels, names), "unknown", (), frozenset(ORGANS))  # anywhere, as no body is


def _written(folder: Path) -> Path:
    """Images and label maps as the `folder` adapter reads them."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for k in range(FILES):
        labels = ellipsoids(k, SHAPE, len(ORGANS))
        noise = np.random.default_rng(k).normal(0, 20, SHAPE)
        affine = np.diag([1.5, 1.5, 3.0, 1.0])
        for kind, array in (("images", (60 * labels + noise).astype(np.int16)), ("labels", labels)):
            nib.Nifti1Image(array, affine).to_filename(folder / kind / f"case-{k:03d}.nii.gz")
    (folder / "names.json").write_text(json.dumps({str(k): name for k, name in enumerate(ORGANS, 1)}))
    return folder


if __name__ == "__main__":
    sys.exit(main())
