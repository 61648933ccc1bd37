import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.serving.ask import ask, speaks_of_sides
from components.serving.page import write_page
from model.imaging.reading.declared import Declared
from model.interface.errors import BadInput
from model.vlm import checkpoint as checkpoints
from model.vlm.backbone import TinySize, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.tokenizer import train
from tests.model.imaging.phantom import AFFINE, CONTRACT, save, voxels

YES_NO = ("Yes", "No")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A model that never learned anything: the way to it is tested, not what it says."""
    tokenizer = train(["Which box holds the left thalamus?"] * 9, 900)
    size = TinySize(
        hidden=64, layers=1, heads=2, kv_heads=1, mlp=64, tower_hidden=32, tower_layers=1, tower_heads=2, tower_mlp=32
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "random"
    checkpoints.save(Checkpoint(tiny(CONTRACT, tokenizer, size, seed=0), tokenizer, CONTRACT, ""), folder)
    return folder


@pytest.fixture
def scan(tmp_path) -> Path:
    return save(tmp_path / "scan.nii.gz", voxels(), AFFINE)


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)).save(path)
    return path


def test_a_file_and_a_question_become_a_trace_and_a_page(checkpoint, scan, tmp_path):
    said, prepared, asked, _ = ask(checkpoint, scan, "Is the left thalamus in view?", YES_NO)
    assert said.study_digest == prepared.volume.digest
    assert said.question_id == asked.id
    assert asked.laterality
    assert (asked.dimension, asked.answer, asked.subject) == (3, None, "")
    page = write_page(said, prepared, asked, tmp_path / "page.html", CONTRACT)
    assert "scan.nii.gz" not in page.read_text(), "a file's name may name a person"


def test_the_same_question_gives_the_same_trace(checkpoint, photo):
    first, second = (ask(checkpoint, photo, "Is there a lesion?", YES_NO)[0] for _ in range(2))
    assert (first.steps, first.question_id) == (second.steps, second.question_id)
    assert ask(checkpoint, photo, "Is there a mass?", YES_NO)[0].question_id != first.question_id


def test_declaring_the_frame_lets_sides_be_asked(checkpoint, photo):
    said, prepared, *_ = ask(checkpoint, photo, "Is the left kidney larger?", YES_NO, Declared(radiological=True))
    assert prepared.volume.frame_known
    assert said.steps


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Is the left lung clear?", True),
        ("RIGHT hippocampus", True),
        ("a right-sided mass", True),
        ("Is it on the left side of the image?", False),
        ("left of the lesion, on the right side of the image", True),
        ("Is it bright?", False),
        ("a cleft", False),
    ],
)
def test_what_speaks_of_the_patients_sides(text, sides):
    assert speaks_of_sides(text) is sides


def test_an_absent_checkpoint_is_told(scan, tmp_path):
    with pytest.raises(BadInput, match="no checkpoint here"):
        ask(tmp_path / "nothing", scan, "Is it?", YES_NO)


def test_a_bad_file_is_told_before_torch_is_loaded(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"hello")
    program = (
        "import sys; from pathlib import Path\n"
        "from components.serving.ask import ask; from model.interface.errors import BadInput\n"
        f"try: ask(Path('x'), Path({str(tmp_path / 'bad.png')!r}), 'Is it?')\n"
        "except BadInput: sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
