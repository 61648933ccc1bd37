"""Malformed NRRD and MetaImage files."""

import gzip
from collections.abc import Callable
from pathlib import Path

from tests.bad_input.bombs import gzipped
from tests.bad_input.case import WARNED, Case, cases_of

BODY = bytes(range(256)) * 4


def nrrd(*lines: str, body: bytes = BODY) -> bytes:
    told = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 8 8 16", "encoding: raw", *lines]
    return "\n".join(told).encode() + b"\n\n" + body


def mha(*lines: str, body: bytes = BODY) -> bytes:
    told = ["ObjectType = Image", "NDims = 3", "DimSize = 8 8 16", "ElementType = MET_UCHAR", *lines]
    return "\n".join([*told, "ElementDataFile = LOCAL\n"]).encode() + body


def with_secret(name: str, content: bytes) -> Callable[[Path], Path]:
    """A header that points to the file beside it, which exists."""

    def build(folder: Path) -> Path:
        (folder / "secret.raw").write_bytes(BODY)
        (folder / name).write_bytes(content)
        return folder / name

    return build


LONG = ["# " + "x" * 70] * 300
ELSEWHERE = ("the voxels are in another file", "data file")
FAULTS = (
    ("empty", "an empty file", "scan.nrrd", b"", ("empty",)),
    ("endless header", "a header without an end", "scan.nrrd", nrrd(*LONG * 10), ("header", "no end of it")),
    ("cut", "9 of 1024 bytes", "scan.nrrd", nrrd(body=bytes(9)), ("truncated",)),
    ("huge", "9999 x 9999 x 9999 claimed", "scan.nrrd", nrrd().replace(b"8 8 16", b"9999 9999 9999"),
     ("TiB", "512 MiB")),
    ("compressed cut", "half a compressed stream", "scan.nrrd",
     lambda: nrrd(body=gzip.compress(BODY)[:90]).replace(b"raw", b"gzip"), ("truncated",)),
    ("4-D", "four axes", "scan.nrrd", nrrd().replace(b"dimension: 3", b"dimension: 4").replace(b"8 8 16", b"8 8 4 4"),
     ("dimension", "4-D")),
    ("singular", "space directions of two axes", "scan.nrrd",
     nrrd("space: left-posterior-superior", "space directions: (1,0,0) (1,0,0) (0,0,2)"), ("affine", "singular")),
    ("no sizes", "no length of any axis", "scan.nrrd", nrrd().replace(b"sizes: 8 8 16\n", b""), ("scan.nrrd",)),
    ("metaimage cut", "9 of 1024 bytes", "scan.mha", mha(body=bytes(9)), ("truncated",)),
    ("metaimage huge", "99999 x 99999 x 16 claimed", "scan.mha", mha().replace(b"8 8 16", b"99999 99999 16"),
     ("GiB", "512 MiB")),
    ("metaimage constant", "0 everywhere", "scan.mha", mha(body=bytes(1024)), ("constant",)),
    ("metaimage text", "no length of any axis", "scan.mha", mha().replace(b"8 8 16", b"a b c"), ("scan.mha",)),
)  # fmt: skip
ODD = (
    ("waste", "a MiB that inflates to a GiB, of which 1024 bytes are read", "scan.nrrd",
     lambda: nrrd(body=gzipped(BODY, 1024)).replace(b"raw", b"gzip"), ("left and right are not known",)),
    ("no orientation", "spacings without directions: left and right unknown", "scan.nrrd", nrrd("spacings: 1 1 2"),
     ("left and right are not known",)),
    ("a scanner's space", "directions in no patient's space", "scan.nrrd",
     nrrd("space: scanner-xyz", "space directions: (1,0,0) (0,1,0) (0,0,2)"), ("left and right are not known",)),
)  # fmt: skip
CASES: list[Case] = [
    *cases_of("itk", FAULTS),
    *cases_of("itk", ODD, WARNED),
    Case("itk: elsewhere", "a header that names another file", with_secret("scan.nrrd", nrrd("data file: secret.raw")),
         ELSEWHERE),
    Case("itk: elsewhere, far down", "the same behind 20 kB of comment",
         with_secret("scan.nrrd", nrrd(*LONG, "data file: secret.raw")), ELSEWHERE),
    Case("itk: metaimage elsewhere", "a header that names another file",
         with_secret("scan.mha", mha().replace(b"LOCAL", b"secret.raw")), ELSEWHERE),
]  # fmt: skip
