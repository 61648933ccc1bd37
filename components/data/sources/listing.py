"""What lies in a set's folder: in order, inside it, and named where it is missing."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from model.interface.errors import BadInput

AGAIN = "download or unpack the set again, or take the entry out of its list"


def members(folder: Path, root: Path, pattern: str) -> list[Path]:
    """Files or folders that match, by name, hidden ones left out; raises BadInput where there are none."""
    if found := sorted(path for path in folder.glob(pattern) if not path.name.startswith(".")):
        return found
    raise missing(folder / pattern, root, "one or more")


def existing(root: Path, *parts: str) -> Path:
    """A file of the set; raises BadInput where it is missing, or where its name leads out of the set.

    parts: names below root, or paths as the set's own lists write them ("./imagesTr/a.nii.gz").
    """
    inside = PurePosixPath(*parts)
    if inside.is_absolute() or ".." in inside.parts:
        raise BadInput(
            "a path in the set's list leaves its folder",
            where=f"{root.name}, path: found an absolute one or .., wanted one below the folder",
            next="correct the list",
        )
    path = root / inside
    if not path.is_file():
        raise missing(path, root, "a file")
    return path


def missing(path: Path, root: Path, wanted: str) -> BadInput:
    place = path.relative_to(root).as_posix()
    return BadInput("a part of the set is missing", where=f"{place}: found nothing, wanted {wanted}", next=AGAIN)


def not_of_the_set(name: str, field: str, found: object, wanted: object) -> BadInput:
    """Something is there, and isn't what the set's layout says."""
    where = f"{name}, {field}: found {found}, wanted {wanted}"
    return BadInput("not the layout of this set", where=where, next="compare the folder with docs/sources.md")


def check_once(names: Iterable[str], listed_in: str) -> None:
    """Raises BadInput where a case is listed twice: in two splits it would leak."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise not_of_the_set(listed_in, "list", f"{name} twice", "each case once")
        seen.add(name)
