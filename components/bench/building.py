"""How a build grows: two workers beside one, and memory from two thousand samples to 220 thousand; and who starts them.

    python -m components.bench.building            -> results/bench/data_workers_2.json
    python -m components.bench.building ray_data   -> results/bench/building/ray_data.json

Cases are NIfTI files of a folder, read as a user's are, small bodies made on the fly for the long run, and heads of the
embedded anatomy for Ray Data beside plain processes. Wall time, because processes are what is measured: the ways take
turns, the least of two counts.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from components.bench.run import machine
from components.bench.tracing import ORGANS, ellipsoids
from components.cluster import cluster
from components.data.cot import build
from components.data.cot.card import digest
from components.data.cot.plan import CotConfig, Shard, Source, plan
from components.data.sources.case import Case, Labelled, outlines_of
from components.tracking import commit
from model.imaging.shards import seal
from model.imaging.volume import Volume
from model.interface.errors import Failure
from model.interface.writing import write_text

FILES, SHAPE = 96, (128, 128, 64)
LONG = 2_000, 220_000
"""Samples of the short and of the long build."""
SMALL = (48, 40, 24)
SIDELESS = {"left kidney": "duodenum", "right kidney": "colon", "left adrenal gland": "oesophagus"}
REPEATS = 2
OUT = Path("results/bench/data_workers_2.json")
HEADS, HEADS_A_SHARD = 50, 5
"""About 2,000 samples, in shards enough for two workers to share."""
OUT_RAY = Path("results/bench/building/ray_data.json")


def main(names: Sequence[str] = ()) -> int:
    for name in names or FIGURES:
        out, measured = FIGURES[name]
        figure = measured() | {
            "machine": machine().replace("1 thread", "2 processes"),
            "commit": commit(),
            "command": " ".join(["python -m components.bench.building", *names]),
        }
        write_text(out, json.dumps(figure, indent=1) + "\n")
        sys.stderr.write(json.dumps(figure) + "\n")
    return 0


def two_workers() -> dict[str, Any]:
    """The figure: one worker beside two, and memory."""
    one, two = workers()
    return {
        "figure": "data_workers_2",
        "ratio": round(one / two, 2),
        "ours": {"seconds": round(two, 2), "memory_mb": None},
        "peer": {"seconds": round(one, 2), "memory_mb": None},
        "peer_is": "the same build from files by one worker instead of two, wall time",
        "equal": {"max_abs_diff": 0.0, "tolerance": 0.0},  # the same bytes: tests/components/data/cot/test_build.py
        "n": FILES,
        **memory(),
    }


def ray_data() -> dict[str, Any]:
    """The figure: the shards of one plan, made by two plain processes and by two workers of Ray Data."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source = Source(name="embedded", cases=HEADS, least_cnr=2.0)
        plain: list[float] = []
        ray: list[dict[str, float]] = []
        before = os.getloadavg()[0]
        for turn in range(REPEATS):
            for name in ("plain", "ray"):
                config = CotConfig(
                    sources=(source,), out=folder / f"{name}-{turn}", workers=2, cases_per_shard=HEADS_A_SHARD
                )
                began = time.monotonic()
                if name == "plain":
                    receipts = build.run(config)
                    plain.append(time.monotonic() - began)
                else:
                    ray.append(_by_ray(config))
        digests = {path.parent.name: digest(path.parent) for path in folder.glob("*/manifest.json")}
    if len(set(digests.values())) != 1:
        raise Failure("the two ways disagree", where=f"digests, found {digests}, wanted one", next="compare the shards")
    best = min(ray, key=lambda row: row["seconds"])
    return {
        "figure": "ray_data",
        "ratio": round(best["seconds"] / min(plain), 2),
        "ours": {"seconds": round(min(plain), 2), "all": [round(s, 2) for s in plain]},
        "peer": {
            **{name: round(value, 2) for name, value in best.items()},
            "all": [round(row["seconds"], 2) for row in ray],
        },
        "peer_is": "the same shards by Ray Data on two workers, wall time with what Ray needs to start and end",
        "equal": {"max_abs_diff": 0.0, "tolerance": 0.0},  # the same bytes, compared before this is written
        "n": sum(sum(receipt["questions"].values()) for receipt in receipts),
        "load_average": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
    }


def _by_ray(config: CotConfig) -> dict[str, float]:
    """Wall seconds, with and without starting and ending Ray."""
    began = time.monotonic()
    todo = plan(config)
    config.out.mkdir()
    with cluster(config.workers):
        import ray.data

        started = time.monotonic()
        rows = ray.data.from_items(list(range(len(todo))), override_num_blocks=len(todo))
        rows.map(lambda row: {"made": build.make(todo[row["item"]], config)["shard"]}).materialize()
        worked = time.monotonic() - started
    seal(config.out)
    return {"seconds": time.monotonic() - began, "without_starting": worked}


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
    # ellipsoids lie anywhere: under names with sides they would be a set labelled the wrong way round
    names = [SIDELESS.get(name, name) for name in ORGANS]
    (folder / "names.json").write_text(json.dumps({str(k): name for k, name in enumerate(names, 1)}))
    return folder


FIGURES: dict[str, tuple[Path, Callable[[], dict[str, Any]]]] = {
    "two_workers": (OUT, two_workers),
    "ray_data": (OUT_RAY, ray_data),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
