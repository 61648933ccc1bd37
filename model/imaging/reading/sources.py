"""Where a study's bytes come from: one file, a folder, or a zip that is never unpacked to disk.

A zip is bounded by what its directory claims before a byte of it is inflated, and again while inflating.
"""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from model.imaging.reading.files import LIMIT_MIB, refused
from model.interface.errors import BadInput

MOST_FILES = 5000
"""Files of a folder or a zip."""
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
"""What reading and inflating raise."""
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Source:
    """One file of a study; its name is for telling it apart in an error, nothing else."""

    name: str
    path: Path
    """The file, or the zip it is in."""
    archive: zipfile.ZipFile | None = None
    member: str = ""

    @property
    def size(self) -> int:
        """Bytes, of a member as the zip's directory claims; no more of it is ever inflated."""
        return self.path.stat().st_size if self.archive is None else self.archive.getinfo(self.member).file_size

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes, a member's inflated as they are read; raises BadInput where anything doesn't inflate."""
        try:
            stream = self.path.open("rb") if self.archive is None else self.archive.open(self.member)
        except Exception as error:  # a damaged directory makes zipfile raise a dozen types
            raise self._damaged() from error
        try:
            with stream:
                yield stream
        except DAMAGE as error:
            raise self._damaged() from error

    def _damaged(self) -> BadInput:
        what, field = ("a file in the zip can't be read", "zip") if self.archive else ("the file can't be read", "data")
        return refused(self.path, what, field=field, found="damaged data", wanted="a whole file")


def sources_of(path: Path) -> Iterator[Source]:
    """The file itself, the files under a folder, or those in a zip, by name; raises BadInput."""
    if path.is_dir():
        yield from _in_folder(path)
    elif path.name.lower().endswith(".zip"):
        yield from _in_zip(path)
    else:
        yield Source(path.name, path)


def _in_folder(folder: Path) -> Iterator[Source]:
    found = []
    for path in folder.rglob("*"):
        if not path.name.startswith(".") and path.name not in JUNK and path.is_file():
            found.append(path)
        if len(found) > MOST_FILES:
            raise _too_many(folder, f"more than {MOST_FILES} files")
    for path in sorted(found):
        yield Source(path.name, path)


def _in_zip(path: Path) -> Iterator[Source]:
    try:
        archive = zipfile.ZipFile(path)
        members = [info for info in archive.infolist() if not info.is_dir()]
    except Exception as error:  # as above
        raise refused(path, "the zip can't be read", field="zip", found="damaged data", wanted="a whole zip") from error
    _check_members(path, members)
    for info in members:  # the archive stays open for whoever holds a source
        name = inside(path, info)
        if not {name.parts[0], name.name} & set(JUNK):
            yield Source(name.name, path, archive, info.filename)


def inside(path: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    """A member's name, which must not leave the folder that a zip is; raises BadInput."""
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise refused(
            path, "a name in the zip leaves the folder", field="zip", found="a path with ..", wanted="plain names"
        )
    return name


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """By what the zip's directory claims, before anything is inflated."""
    if len(members) > MOST_FILES:
        raise _too_many(path, f"{len(members)} files")
    if (size := sum(info.file_size for info in members)) > LIMIT_MIB << 20:
        found = f"{size >> 20} MiB once inflated"
        raise refused(path, "the zip is too large", field="zip", found=found, wanted=f"up to {LIMIT_MIB} MiB")
    for info in members:
        inside(path, info)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise refused(path, "the zip holds a link", field="zip", found="a symbolic link", wanted="files")
        if info.flag_bits & 1:
            raise refused(path, "the zip is encrypted", field="zip", found="a password", wanted="none")
        if info.filename.lower().endswith((".zip", ".gz", ".tar", ".7z")):
            raise refused(path, "a zip in the zip", field="zip", found="a nested archive", wanted="DICOM files")


def _too_many(path: Path, found: str) -> Exception:
    return refused(path, "too many files", field="files", found=found, wanted=f"up to {MOST_FILES}")
