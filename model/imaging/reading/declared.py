"""What a file doesn't say, or may say too much of, as whoever gives it declares."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Declared:
    modality: str | None = None
    """"CT" or "MR" where it is known; of a DICOM its own tag decides."""
    radiological: bool = False
    """Where the file has no frame: its pictures are axial, column 0 at the patient's right, row 0 anterior, slices
    from inferior to superior."""
    series: int | None = None
    """Which series of a folder or zip that holds several, from 1, in the order an error lists them."""
    index: int | None = None
    """Which volume of a 4-D file, or which frame of a cine loop, from 0."""
    allow_burned_in: bool = False
    """Read pictures that say a patient's data is written into their pixels."""
