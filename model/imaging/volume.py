"""A volume: voxels that never travel without the frame they were measured in.

A 2D image is a volume of one slice. With a known frame the axes are RAS+: indices ascend towards the
patient's right, anterior and superior. With an unknown one they are the picture's own: x ascends to the
right of the picture, y downwards, z over slices.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

SLICE_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2, "image": 2}
"""The axis a plane looks along: the one of length 1 when the volume is a single slice."""
MODALITIES = ("CT", "MR", "")


@dataclass(frozen=True, eq=False)
class Volume:
    voxels: np.ndarray
    """(x, y, z), real numbers: Hounsfield units of a CT, arbitrary units otherwise."""
    affine: np.ndarray
    """(4, 4) from voxel index (its centre) to mm, RAS+; the identity when the spacing is unknown."""
    modality: str
    """"CT", "MR" or "" when nobody said."""
    frame_known: bool
    """The patient's left and right are known, so the axes are RAS+."""
    plane: str
    """"axial", "coronal" or "sagittal" as displayed; "image" exactly when the frame is unknown."""
    warnings: tuple[str, ...] = ()
    """What the reader had to assume, one sentence each."""
    spacing_known: bool = True
    """False when 1 mm was assumed: nothing may then be reported in mm."""

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or self.affine.shape != (4, 4):
            raise ValueError(
                f"voxels {self.voxels.shape} and affine {self.affine.shape}, expected (x, y, z) and (4, 4)"
            )
        if self.modality not in MODALITIES:
            raise ValueError(f"unknown modality {self.modality!r}, known: {MODALITIES}")
        if self.plane not in SLICE_AXIS or (self.plane == "image") == self.frame_known:
            raise ValueError(f"plane {self.plane!r} with frame_known={self.frame_known}")
        if 1 in self.voxels.shape and self.voxels.shape[SLICE_AXIS[self.plane]] != 1:
            raise ValueError(f"one {self.plane} slice can't have shape {self.voxels.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(x, y, z), voxels."""
        x, y, z = self.voxels.shape
        return x, y, z

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
