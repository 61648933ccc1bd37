"""A volume: voxels that never travel without the frame they were measured in.

A 2D image is a volume of one slice. With a known frame the axes are RAS+: indices ascend towards the
patient's right, anterior and superior. With an unknown one they are the picture's own: x ascends to the
right of the picture, y downwards, z over slices.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from model.interface.boxes import Box

SLICE_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2, "image": 2}
"""The axis a plane looks along: the one of length 1 when the volume is a single slice."""
MODALITIES = ("CT", "MR", "PT", "NM", "CR", "DX", "MG", "RF", "XA", "US", "ES", "OP", "XC", "OT", "")
"""DICOM's own terms (0008,0060), "" when nobody said. Only CT and MR decide anything: which window is used."""


@dataclass(frozen=True, eq=False)
class FileGrid:
    """The voxels as their file counts them: how evidence goes back to where it came from."""

    shape: tuple[int, int, int]
    """Along the file's own axes: columns, rows and slices of pictures and DICOM, i, j, k of NIfTI."""
    index: np.ndarray
    """(4, 4) from a volume's voxel index to the file's: axes permuted and flipped."""

    def box(self, box: Box) -> Box:
        """A box in the volume's voxels -> the same in the file's."""
        corners = np.array([[*box.low, 1], [*box.high, 1]]) - [0.5, 0.5, 0.5, 0]
        edges = (corners @ self.index.T)[:, :3] + 0.5
        return Box.of((*edges.min(0).tolist(), *edges.max(0).tolist()))

    def affine(self, affine: np.ndarray) -> np.ndarray:
        """A volume's (4, 4) voxel index to mm -> the file's."""
        return affine @ np.linalg.inv(self.index)


@dataclass(frozen=True, eq=False)
class Volume:
    voxels: np.ndarray
    """(x, y, z), real numbers: Hounsfield units of a CT, arbitrary units otherwise; uint8 (x, y, z, 3) in colour."""
    affine: np.ndarray
    """(4, 4) from voxel index (its centre) to mm, RAS+; the identity when the spacing is unknown."""
    modality: str
    """One of `MODALITIES`."""
    frame_known: bool
    """The patient's left and right are known, so the axes are RAS+."""
    plane: str
    """"axial", "coronal" or "sagittal" as displayed; "image" exactly when the frame is unknown."""
    warnings: tuple[str, ...] = ()
    """What the reader had to assume, one sentence each."""
    spacing_known: bool = True
    """False when 1 mm was assumed: nothing may then be reported in mm."""
    file_grid: FileGrid | None = None
    """None where the voxels came from no file, or lie as they lie in it."""

    def __post_init__(self) -> None:
        grey = self.voxels.ndim == 3
        if not (grey or self.voxels.shape[3:] == (3,)) or self.affine.shape != (4, 4):
            raise ValueError(
                f"voxels {self.voxels.shape} and affine {self.affine.shape}, expected (x, y, z) and (4, 4)"
            )
        if self.modality not in MODALITIES:
            raise ValueError(f"unknown modality {self.modality!r}, known: {MODALITIES}")
        if self.plane not in SLICE_AXIS or (self.plane == "image") == self.frame_known:
            raise ValueError(f"plane {self.plane!r} with frame_known={self.frame_known}")
        if 1 in self.shape and self.voxels.shape[SLICE_AXIS[self.plane]] != 1:
            raise ValueError(f"one {self.plane} slice can't have shape {self.voxels.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(x, y, z), voxels."""
        x, y, z = self.voxels.shape[:3]
        return x, y, z

    @property
    def is_colour(self) -> bool:
        return self.voxels.ndim == 4

    @property
    def in_file(self) -> FileGrid:
        return self.file_grid or FileGrid(self.shape, np.eye(4))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Pitch of the voxels along (x, y, z), mm; 1 when it is unknown."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def dimension(self) -> int:
        """2 for a single slice, else 3."""
        return 2 if self.voxels.shape[SLICE_AXIS[self.plane]] == 1 else 3

    @property
    def digest(self) -> str:
        """SHA-256 of voxels, shape, type and affine, hex: the study's name wherever it must not be named."""
        found = hashlib.sha256(f"{self.voxels.shape} {self.voxels.dtype.str}".encode())
        found.update(np.ascontiguousarray(self.affine, dtype="<f8").tobytes())
        found.update(np.ascontiguousarray(self.voxels).data)
        return found.hexdigest()
