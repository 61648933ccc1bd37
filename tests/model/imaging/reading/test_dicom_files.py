"""Every DICOM file that pydicom and pydicom-data bring along gets the verdict that docs/dicom_files.md tells."""

import fnmatch
import warnings
from collections.abc import Iterator
from pathlib import Path

import data_store
import numpy as np
import pydicom

from model.imaging.prepare import prepare
from model.imaging.reading.read import read_volume
from model.interface.contract import Contract
from model.interface.errors import BadInput

TABLE = Path(__file__).parents[4] / "docs/dicom_files.md"
NO_DICOM = (".py", ".pyc", ".json", ".txt", ".dump", ".icc", ".gz", ".md", ".tsv")
ROOTS = {
    "pydicom": Path(str(pydicom.__file__)).parent / "data/test_files",
    "pydicom-data": Path(str(data_store.__file__)).parent / "data",
}


def files() -> Iterator[tuple[str, Path]]:
    for package, root in ROOTS.items():
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in NO_DICOM and not path.name.startswith("README"):
                yield f"{package}/{path.relative_to(root)}", path


def verdict(path: Path) -> tuple[str, str]:
    """(read, or refused; what was understood, or what was found where)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            volume = read_volume(path)
    except BadInput as refusal:
        return "refused", refusal.what
    kind = "colour" if volume.is_colour else "HU" if volume.modality == "CT" else "grey"
    size = " x ".join(str(n) for n in volume.in_file.shape)
    sides = volume.plane if volume.frame_known else "sides unknown"
    return "read", f"{volume.modality or 'modality unknown'}, {size}, {kind}, {sides}"


def test_the_table_tells_the_verdict_on_every_file():
    rows = [line.strip("| \n").split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| pydicom")]
    told = {name: (said, what) for name, said, what in rows}
    used = set()
    for name, path in files():
        matching = [pattern for pattern in told if fnmatch.fnmatch(name, pattern)]
        assert len(matching) == 1, name
        assert verdict(path) == told[matching[0]], name
        used |= set(matching)
    assert used == set(told)


def shown(name: str) -> np.ndarray:
    return prepare(read_volume(ROOTS["pydicom-data"] / name), Contract()).slices[0].astype(float)


def test_a_chest_is_not_inverted_and_an_abdomen_stands_upright():
    chest = shown("RG1_UNCR.dcm")
    lungs, spine = chest[35:60, 18:34].mean(), chest[35:60, 44:52].mean()
    assert lungs < 0.7 * spine, "air is dark"
    # the table lies below the patient, the liver at the left of the picture
    abdomen = shown("explicit_VR-UN.dcm")
    body = np.flatnonzero((abdomen > 60).sum(1) > 20)
    table = np.flatnonzero((abdomen[body[-1] + 2 :] > 100).any(1))
    assert table.size
    assert abdomen[35:60, 25:42].mean() > 1.3 * abdomen[35:60, 60:75].mean()
