import numpy as np
from scipy import ndimage as ndi

from components.data import real
from components.data.labels import ID


def test_the_labels_fit_the_real_t1_and_slices_are_its_own():
    (volume, whole), *cut = real.told(3)
    voxels = volume.volume.voxels
    for side in ("left", "right"):
        ids = [ID[f"{side} {name}"] for name in ("lateral ventricle", "caudate", "putamen", "white matter")]
        assert (np.diff(ndi.mean(voxels, whole.labels, ids)) > 2).all()
    assert np.argwhere(whole.labels == ID["left putamen"])[:, 0].mean() < real.SHAPE[0] / 2
    assert not whole.lesions and not whole.own
    assert [scene.plane for _, scene in cut] == ["axial", "coronal", "sagittal"]
    for study, scene in cut:
        corner = np.rint(np.linalg.inv(volume.volume.affine) @ study.volume.affine[:, 3]).astype(int)[:3]
        where = tuple(slice(c, c + n) for c, n in zip(corner, study.volume.shape, strict=True))
        assert np.array_equal(study.volume.voxels, voxels[where])
        assert np.array_equal(scene.labels, whole.labels[where])
