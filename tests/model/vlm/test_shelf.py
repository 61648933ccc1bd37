"""Visual tokens on disk: found again by another process, bounded, and never trusted blindly."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features, tower_digest
from model.vlm.shelf import Shelf
from tests.model.vlm.conftest import SMALL
from tests.model.vlm.test_features import pictures

CPU = torch.device("cpu")


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns)


def test_what_one_process_made_another_finds(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, digest = pictures(3), tower_digest(checkpoint.vlm)
    made = Features(0, Shelf(tmp_path, 1.0)).of(checkpoint.vlm, shown, SMALL, digest)
    monkeypatch.setattr("model.vlm.features.features_of", lambda _, some, __: [] if not some else pytest.fail("made"))
    found = Features(0, Shelf(tmp_path, 1.0)).of(checkpoint.vlm, [*shown, shown[0]], SMALL, digest)
    assert all(torch.equal(one, other) for one, other in zip(found, [*made, made[0]], strict=True))


def test_the_tower_the_pixels_and_how_they_are_taken_are_in_the_key(checkpoint: Checkpoint, tmp_path: Path) -> None:
    store, shown = Features(0, Shelf(tmp_path, 1.0)), pictures(1)
    store.of(checkpoint.vlm, shown, SMALL, "one")
    store.of(checkpoint.vlm, shown, SMALL, "other")
    store.of(checkpoint.vlm, shown, SMALL.model_copy(update={"channels": "grey"}), "one")
    store.of(checkpoint.vlm, [shown[0] ^ 1], SMALL, "one")
    assert len(stored(tmp_path)) == 4
    before, vision = tower_digest(checkpoint.vlm), checkpoint.vlm.config.vision_config
    vision.image_mean = [0.1, 0.2, 0.3]
    changed = tower_digest(checkpoint.vlm)
    del vision.image_mean
    assert changed != before == tower_digest(checkpoint.vlm)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    shelf, tokens = Shelf(tmp_path, 1.0), torch.ones(100)
    for i in range(4):
        shelf.put({bytes([i]): tokens})
        os.utime(tmp_path / f"{bytes([i]).hex()}.safetensors", ns=(i, i))
    shelf.take([bytes([0])], CPU)
    shelf.room = 3 * stored(tmp_path)[0].stat().st_size
    shelf.put({bytes([4]): tokens})
    assert {file.stem for file in stored(tmp_path)} == {"00", "03", "04"}


@pytest.mark.parametrize("harm", ["bit", "cut", "empty"])
def test_a_damaged_file_is_thrown_away(tmp_path: Path, harm: str) -> None:
    shelf, tokens = Shelf(tmp_path, 1.0), torch.from_numpy(np.arange(50, dtype=np.float32))
    shelf.put({b"k": tokens})
    [file] = stored(tmp_path)
    content = file.read_bytes()
    file.write_bytes({"bit": content[:-3] + b"?" + content[-2:], "cut": content[:-4], "empty": b""}[harm])
    assert not shelf.take([b"k"], CPU)
    assert not file.exists()
    shelf.put({b"k": tokens})
    assert torch.equal(shelf.take([b"k"], CPU)[b"k"], tokens)
