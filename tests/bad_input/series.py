"""Broken DICOM series: folders and zips of slices that are shuffled, doubled, lost, moved, mixed."""

import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from model.imaging.reading.declared import Declared
from tests.bad_input.bombs import zipped
from tests.bad_input.case import READ, WARNED, Case, Content, file_of
from tests.bad_input.openers import study
from tests.model.imaging.phantom import AFFINE, voxels
from tests.model.imaging.reading.dicoms import CANARY, header, pixels, raw, save, slices_of, with_

HEAD = np.rint(voxels())
Made = Callable[[], Sequence[Dataset]]


def head() -> list[Dataset]:
    return slices_of(HEAD, AFFINE)


def folder_of(made: Made) -> Callable[[Path], Path]:
    return lambda folder: save(folder / "series", made())


def changed(at: slice, **tags: object) -> Callable[[Path], Path]:
    """The head with tags of some slices changed."""

    def made() -> list[Dataset]:
        some = head()
        for one in some[at]:
            with_(one, **tags)
        return some

    return folder_of(made)


def moved(at: slice, by: Callable[[int], tuple[float, float, float]]) -> Callable[[Path], Path]:
    """The head with some slices moved, mm in LPS; by: of the slice's number."""

    def made() -> list[Dataset]:
        some = head()
        for k, one in list(enumerate(some))[at]:
            one.ImagePositionPatient = (np.array(one.ImagePositionPatient, float) + by(k)).tolist()
        return some

    return folder_of(made)


def without(*lost: int) -> Callable[[Path], Path]:
    return folder_of(lambda: [one for k, one in enumerate(head()) if k not in lost])


def shuffled() -> list[Dataset]:
    some = [head()[k] for k in np.random.default_rng(0).permutation(HEAD.shape[2])]
    return [with_(one, InstanceNumber=k) for k, one in enumerate(some)]


def other_size() -> list[Dataset]:
    some = head()
    pixels(some[4], np.zeros((9, 9), np.int16))
    return some


def two_series() -> list[Dataset]:
    return head() + [with_(one, SeriesInstanceUID="1.2.3") for one in slices_of(HEAD[:, :, :5], AFFINE)]


def two_stations() -> list[Dataset]:
    return head() + [with_(one, ImagePositionPatient=[0, 0, 400 + k]) for k, one in enumerate(head())]


def cine() -> list[Dataset]:
    loop = pixels(header(Modality="XA", NumberOfFrames=3), np.zeros((30, 20), np.int16))
    return [with_(loop, PixelData=np.arange(1800, dtype=np.int16).tobytes())]


def radiographs() -> list[Dataset]:
    return [pixels(header(Modality="DX"), np.arange(600, dtype=np.int16).reshape(30, 20)) for _ in range(2)]


def with_foreign(folder: Path) -> Path:
    series = save(folder / "series", head())
    (series / "notes.txt").write_text(CANARY)
    (series / "0017.dcm").write_bytes((series / "0017.dcm").read_bytes()[132:])
    return series


def with_scout(folder: Path) -> Path:
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout = with_(head()[0], SeriesInstanceUID="1.2.3", ImageType=kind)
    return save(folder / "series", [*head(), scout, header(Modality="SR", SeriesInstanceUID="1.2.4")])


def one_slice_cut(folder: Path) -> Path:
    series = save(folder / "series", head())
    whole = (series / "0005.dcm").read_bytes()
    (series / "0005.dcm").write_bytes(whole[:-100])
    return series


def archive(*members: tuple[zipfile.ZipInfo | str, bytes]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "series.zip", "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in members:
                made.writestr(name, content)
        return folder / "series.zip"

    return build


def linked() -> zipfile.ZipInfo:
    link = zipfile.ZipInfo("a.dcm")
    link.external_attr = 0o120777 << 16
    return link


def locked(folder: Path) -> Path:
    """A zip that says its member needs a password."""
    path = archive(("a.dcm", raw(head()[0])))(folder)
    whole = bytearray(path.read_bytes())
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(whole)
    return path


def torn(folder: Path) -> Path:
    path = archive(("a.dcm", raw(head()[0])))(folder)
    path.write_bytes(path.read_bytes()[:-20])
    return path


def spoiled(folder: Path) -> Path:
    path = archive(("a.dcm", raw(head()[0])))(folder)
    whole = bytearray(path.read_bytes())
    whole[60:90] = bytes(30)
    path.write_bytes(whole)
    return path


def wrong_length(folder: Path) -> Path:
    """The member's compressed bytes end early, says the directory and its own header."""
    path = archive(("a.dcm", raw(head()[0])))(folder)
    whole = bytearray(path.read_bytes())
    for at in (18, whole.index(b"PK\x01\x02") + 20):
        whole[at : at + 4] = struct.pack("<I", 20)
    path.write_bytes(whole)
    return path


def zip_of(content: Content) -> Callable[[Path], Path]:
    return file_of("series.zip", content)


REST = slice(4, 5)
FAULTS: tuple[tuple[str, str, Callable[[Path], Path], Sequence[str]], ...] = (
    ("nothing", "a folder without DICOM", lambda folder: folder, ("no DICOM", "a DICOM series")),
    ("one lost", "two slices lost in the middle", without(7, 8), ("slices are missing", "1 gap(s), about 2 slice(s)")),
    ("some lost", "slices lost in two places", without(2, 7, 8, 9), ("2 gap(s), about 4 slice(s)",)),
    ("two echoes", "two pictures at every place", folder_of(lambda: head() + head()), ("4-D", "36 pictures at 18")),
    ("one echo cut", "two pictures at every place but one", folder_of(lambda: (head() + head())[:-1]), ("4-D",)),
    ("one place", "25 pictures of one place", folder_of(lambda: [head()[3]] * 25), ("4-D", "1 place(s)")),
    ("two series", "two series, and none chosen", folder_of(two_series), ("2 series found", "1: CT, 18 file(s)",
                                                                          "--series")),
    ("direction", "a slice in another direction", changed(REST, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
     ("ImageOrientationPatient", "several directions")),
    ("frame of reference", "a slice in another frame of reference", changed(REST, FrameOfReferenceUID="1.2.3"),
     ("FrameOfReferenceUID",)),
    ("pixel spacing", "a slice of another pixel spacing", changed(REST, PixelSpacing=[1, 2]), ("PixelSpacing",)),
    ("unit", "a slice in another unit", changed(REST, RescaleType="MGML"), ("RescaleType",)),
    ("rescaling", "a slice that isn't rescaled", changed(REST, RescaleSlope=None, RescaleIntercept=None),
     ("RescaleType",)),
    ("modality", "a slice of another modality", changed(REST, Modality="MR"), ("Modality",)),
    ("size", "a slice of another size", folder_of(other_size), ("Rows",)),
    ("no position", "a slice without a position", changed(slice(17, 18), ImagePositionPatient=None),
     ("1 picture(s) without a position",)),
    ("table moved", "the table moved in the middle", moved(slice(4, 8), lambda k: (50, 0, 0)), ("beside the line",)),
    ("two stations", "two stations in one series", folder_of(two_stations), ("ImagePositionPatient",)),
    ("side by side", "two pictures beside one another", moved(slice(1, 2), lambda k: (50, 0, -2)),
     ("side by side",)),
    ("cine", "frames over time, and none chosen", folder_of(cine), ("3 frames", "--index 0 to 2")),
    ("radiographs", "two radiographs in a folder", folder_of(radiographs), ("2 pictures, no positions",)),
    ("one slice cut", "100 bytes missing of one slice", one_slice_cut, ("truncated", "PixelData")),
    ("all lost but reports", "a folder of reports",
     folder_of(lambda: [header(Modality="SR", InstanceNumber=k) for k in (1, 2)]), ("SR, a report",)),
    ("escapes", "a zip with a member named ../a.dcm", archive(("../a.dcm", b"x")), ("leaves the folder",)),
    ("link", "a zip with a link in it", archive((linked(), b"/etc/passwd")), ("a link",)),
    ("nested zip", "a zip in the zip", archive(("d.zip", b"x")), ("a nested archive",)),
    ("locked", "a zip with a password", locked, ("encrypted",)),
    ("torn zip", "a zip without its end", torn, ("damaged data", "a whole zip")),
    ("spoiled zip", "a zip with wrong bytes in its member", spoiled, ("damaged data", "a whole file")),
    ("zip cut inside", "a zip with 20 bytes of its member", wrong_length, ("damaged data", "a whole file")),
    ("crowded zip", "a zip of 5001 files", archive(*[(f"{k}.dcm", b"") for k in range(5001)]), ("5001 files", "5000")),
    ("zip bomb", "a MiB that inflates to a GiB", zip_of(lambda: zipped("a.dcm", raw(head()[0]), 1024)),
     ("1024 MiB once inflated", "512 MiB")),
    ("zip of words", "a zip without DICOM", archive(("a.txt", b"hello")), ("no DICOM",)),
    ("words", "words, named .zip", zip_of(b"hello"), ("damaged data", "a whole zip")),
)  # fmt: skip
ODD: tuple[tuple[str, str, Callable[[Path], Path], Sequence[str]], ...] = (
    ("doubled", "two slices twice: the first is used", folder_of(lambda: head() + head()[3:5]),
     ("2 of 20 slices lie where another does",)),
    ("uneven", "steps that grow: resampled", moved(slice(None), lambda k: (0, 0, 0.04 * k * k)), ("resampled every",)),
    ("tilted", "a tilted gantry: read as scanned", moved(slice(None), lambda k: (0, 0.8 * k, 0)),
     ("tilted by 22 degrees",)),
    ("foreign files", "notes, and a slice without preamble, the last one", with_foreign, ("2 file(s)", "no DICOM")),
    ("scout", "a scout and a report: left out", with_scout, ("localizer", "without a picture")),
)  # fmt: skip
FINE: tuple[tuple[str, str, Callable[[Path], Path], Sequence[str]], ...] = (
    (
        "zip of waste",
        "400 MiB behind the pixels of a file in a zip, which are never looked at",
        zip_of(lambda: zipped("a.dcm", raw(head()[9]), 400)),
        (),
    ),
    ("shuffled", "nothing: names and numbers in no order", folder_of(shuffled), ()),
)
CASES: list[Case] = [
    *(Case(f"series: {name}", wrong, build, words) for name, wrong, build, words in FAULTS),
    *(Case(f"series: {name}", wrong, build, words, WARNED) for name, wrong, build, words in ODD),
    *(Case(f"series: {name}", wrong, build, words, READ) for name, wrong, build, words in FINE),
    Case("series: no such series", "--series 3 of two", folder_of(two_series), ("a number up to 2",),
         opener=study(Declared(series=3))),
    Case("series: frame of many", "--index of 18 files", folder_of(head), ("--index", "18 files"),
         opener=study(Declared(index=2))),
]  # fmt: skip
