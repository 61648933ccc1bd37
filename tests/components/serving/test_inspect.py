"""What `urm inspect` says is what was read, and its sheet is what the model sees."""

import io

import numpy as np
import pytest
from PIL import Image

from components.serving.inspect import CAPTION, COLUMNS, GAP, LEAST_SIDE, inspected, sheet, write_sheet
from model.imaging.reading.declared import Declared
from model.interface.contract import Contract
from model.interface.errors import BadInput
from tests.model.imaging.phantom import AFFINE, CONTRACT, ORIENTATIONS, save, stored_as, voxels
from tests.model.imaging.reading import dicoms


def test_a_series_is_told_in_the_files_own_terms(tmp_path):
    array, affine = stored_as(np.rint(voxels()) - 1000, AFFINE, ORIENTATIONS[5])
    folder = dicoms.save(tmp_path / dicoms.CANARY, dicoms.slices_of(array, affine))
    finding, _ = inspected(folder, Declared(), CONTRACT)
    told = "\n".join(finding.lines())
    assert finding.shape == array.shape
    assert finding.spacing_mm == pytest.approx(np.linalg.norm(affine[:3, :3], axis=0))
    assert "kind: DICOM, 3D, CT" in told
    assert "-1000 to -700 HU" in told
    assert "window: -5 to 85 (level 40, width 90; fixed)" in told
    assert "shown: 32 axial slices of 64 x 64 px" in told
    assert "PatientName" in finding.dropped, "the name of the field"
    assert dicoms.CANARY not in told + str(finding.to_json()), "never its value"


def test_header_text_of_other_kinds_is_dropped_too(tmp_path):
    import nibabel as nib

    image = nib.Nifti1Image(voxels(), AFFINE)
    image.header["descrip"] = dicoms.CANARY
    image.to_filename(tmp_path / "scan.nii")
    exif = Image.Exif()
    exif[0x9286] = dicoms.CANARY
    Image.fromarray(np.eye(40, dtype=np.uint8) * 200).save(tmp_path / "scan.jpg", exif=exif)
    for name, field in (("scan.nii", "descrip"), ("scan.jpg", "EXIF UserComment")):
        finding, _ = inspected(tmp_path / name, Declared(), CONTRACT)
        assert field in finding.dropped
        assert dicoms.CANARY not in "\n".join(finding.lines())


def test_a_named_window_is_named(tmp_path):
    folder = dicoms.save(tmp_path / "a", dicoms.slices_of(np.rint(voxels()), AFFINE))
    finding, _ = inspected(folder, Declared(), Contract(ct_windows=("lung",)))
    assert finding.windows == ("-1350 to 150 (lung, level -600, width 1500; fixed)",)


def test_the_sheet_shows_every_slice_as_the_model_sees_it(tmp_path):
    finding, prepared = inspected(save(tmp_path / "scan.nii", voxels(), AFFINE), Declared(), CONTRACT)
    picture = np.asarray(sheet(prepared))
    times = LEAST_SIDE // 64
    for z in (1, 13, 31):  # not the first of a row, which has letters on it
        x = GAP + z % COLUMNS * (64 * times + GAP)
        y = GAP + z // COLUMNS * (64 * times + GAP + CAPTION)
        shown = picture[y : y + 64 * times : times, x : x + 64 * times : times]
        assert np.array_equal(shown[..., 0], prepared.slices[z])
    raw = io.BytesIO(write_sheet(finding, prepared, tmp_path / "sheet.png").read_bytes())
    assert np.array_equal(np.asarray(Image.open(raw)), picture)
    page = write_sheet(finding, prepared, tmp_path / "sheet.html").read_text()
    assert "32 axial slices" in page
    assert "http" not in page.replace("http-equiv", "")
    with pytest.raises(BadInput, match="can't be written"):
        write_sheet(finding, prepared, tmp_path / "sheet.gif")
