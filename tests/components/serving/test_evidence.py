"""Boxes written for other tools, read back by other libraries: the same place in mm, within half a voxel."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from components.serving.asked import Asked
from components.serving.evidence import evidence_of
from model.imaging.prepare import prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.planes import LPS_TO_RAS
from model.imaging.reading.read import read_volume
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.grammar import parse, write_box
from model.interface.question import Question
from model.interface.trace import Step, Trace
from tests.model.imaging.phantom import AFFINE, BLOB, CONTRACT, ORIENTATIONS, SHAPE, save, stored_as, voxels
from tests.model.imaging.reading import dicoms

TURN = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1.0]])


def asked(path, declared: Declared | None = None, boxes: tuple[Box, ...] = ()) -> Asked:
    """An answer that points at boxes; without any, at the phantom's block."""
    declared = declared or Declared()
    prepared = prepare(read_volume(path, declared), CONTRACT)
    boxes = boxes or (prepared.frame.to_model(BLOB),)
    flat = prepared.dimension == 2
    steps = [
        Step(f"<think>The left block is at {write_box(box, flat=flat)}", box, prepared.frame.to_mm(box), 1)
        for box in boxes
    ]
    steps.append(Step("</think>A. Yes<|im_end|>"))
    answer = parse("".join(step.text for step in steps).replace("<think>", "", len(boxes) - 1))
    shape = prepared.frame.shape
    trace = Trace("q", prepared.volume.digest, shape, tuple(steps), answer, 9)
    question = Question("q", "s", "", "asked", prepared.dimension, "", "Is it?", ("Yes", "No"), None)
    return Asked(question, trace, prepared, CONTRACT, path, declared)


def corners(box: Box) -> np.ndarray:
    return np.array(list(product(*zip(box.low, box.high, strict=True)))) - 0.5


def loaded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(voxels, affine) as nibabel reads them."""
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    return np.asarray(image.dataobj), np.asarray(image.affine)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_boxes_come_back_in_the_files_own_voxels(tmp_path, orientation):
    """The block of a head stored in any of 48 ways is found again where the file has it."""
    scan = save(tmp_path / "scan.nii", voxels(), AFFINE, orientation)
    stored, affine = loaded(scan)
    bright = np.argwhere(stored == 300)
    one = asked(scan)
    [found] = evidence_of(one.trace, one.prepared)
    assert np.abs(np.array(found.voxels.low) - bright.min(0)).max() <= 0.75  # a model pixel is up to half a voxel
    assert np.abs(np.array(found.voxels.high) - bright.max(0) - 1).max() <= 0.75
    labels, written = loaded(one.write_evidence(tmp_path / "boxes.nii.gz"))
    assert labels.shape == stored.shape
    assert np.allclose(written, affine, atol=1e-5)
    filled = np.argwhere(labels == 1)
    inside = Box.of((*filled.min(0).tolist(), *(filled.max(0) + 1).tolist()))
    assert np.abs(np.array(inside.numbers) - np.array(found.voxels.numbers)).max() <= 0.5


@given(data=st.data())
@settings(max_examples=25)
def test_markups_and_label_maps_agree_with_the_trace_in_mm(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("out")
    pitch = np.array([data.draw(st.floats(0.5, 4)) for _ in range(3)])
    affine = np.eye(4)
    affine[:3, :3] = (TURN if data.draw(st.booleans()) else np.eye(3)) * pitch
    scan = save(folder / "scan.nii.gz", voxels(), affine, data.draw(st.sampled_from(ORIENTATIONS)))
    low = [data.draw(st.integers(0, n - 2)) for n in (64, 64, 32)]
    high = [data.draw(st.integers(a + 1, n)) for a, n in zip(low, (64, 64, 32), strict=True)]
    one = asked(scan, boxes=(Box.of((*low, *high)),))
    [found] = evidence_of(one.trace, one.prepared)

    roi = json.loads(one.write_evidence(folder / "boxes.mrk.json").read_text())["markups"][0]
    axes = np.array(roi["orientation"]).reshape(3, 3)
    signs = np.array(list(product((-0.5, 0.5), repeat=3)))
    lps = np.array(roi["center"]) + (signs * roi["size"]) @ axes.T
    mm = lps * [-1, -1, 1]
    assert np.allclose([*mm.min(0), *mm.max(0)], found.mm or (), atol=0.01)

    image = SimpleITK.ReadImage(str(one.write_evidence(folder / "boxes.nii.gz")))
    index = np.argwhere(SimpleITK.GetArrayFromImage(image) == 1)[:, ::-1]
    edges = np.array(list(product(*zip(index.min(0) - 0.5, index.max(0) + 0.5, strict=True))))
    mm = np.array([image.TransformContinuousIndexToPhysicalPoint(e.tolist()) for e in edges]) * [-1, -1, 1]
    least = np.maximum(np.array(found.voxels.size) < 1, 0).any()  # a box thinner than a voxel is shown as one voxel
    slack = np.abs(affine[:3, :3]).sum(1) * (1.0 if least else 0.5) + 1e-3
    assert (np.abs(np.array([mm.min(0), mm.max(0)]).ravel() - found.mm) <= np.tile(slack, 2)).all()


def series(tmp_path, orientation=None, tilt: float = 0):
    array, affine = np.rint(voxels()), AFFINE
    if orientation is not None:
        array, affine = stored_as(array, affine, orientation)
    made = dicoms.slices_of(array, affine)
    for k, one in enumerate(made):
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y + tilt * k, z]
    shuffled = [made[k] for k in np.random.default_rng(0).permutation(len(made))]
    return dicoms.save(tmp_path / "series", shuffled)


def plane_mm(dataset: pydicom.Dataset, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pixel (column, row), 0 at the first pixel's centre -> mm, RAS+ (PS3.3 C.7.6.2.1.1)."""
    across, down = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    step_down, step_across = map(float, dataset.PixelSpacing)
    lps = (
        np.array(dataset.ImagePositionPatient, float)
        + columns[:, None] * step_across * across
        + rows[:, None] * step_down * down
    )
    return lps @ LPS_TO_RAS[:3, :3].T


@pytest.mark.parametrize("orientation", [None, *ORIENTATIONS[3::9]], ids=str)
@pytest.mark.parametrize("kind", ["seg", "sr"])
def test_dicom_objects_put_the_box_where_the_trace_does(tmp_path, kind, orientation):
    one = asked(series(tmp_path, orientation))
    [found] = evidence_of(one.trace, one.prepared)
    written = pydicom.dcmread(one.write_evidence(tmp_path / f"boxes.{kind}.dcm"))
    sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (tmp_path / "series").iterdir())}
    points = []
    if kind == "seg":
        masks = written.pixel_array.reshape(-1, written.Rows, written.Columns)
        for mask, group in zip(masks, written.PerFrameFunctionalGroupsSequence, strict=True):
            place = pydicom.Dataset()
            place.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
            shared = written.SharedFunctionalGroupsSequence[0]
            place.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            place.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
            rows, columns = np.nonzero(mask)
            points.append(plane_mm(place, columns.astype(float), rows.astype(float)))
    else:
        for item in written.ContentSequence:
            for inner in item.get("ContentSequence", []):
                for region in (r for r in inner.get("ContentSequence", []) if r.ValueType == "SCOORD"):
                    x, y = np.array(region.GraphicData).reshape(-1, 2).T
                    image = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
                    points.append(plane_mm(sources[image], x - 0.5, y - 0.5))
    mm = np.concatenate(points)
    pitch = one.prepared.volume.spacing_mm
    # a mask's pixels and a rectangle's slices have an extent; a rectangle's corners are at the edges already
    across, down = np.array(next(iter(sources.values())).ImageOrientationPatient, float).reshape(2, 3)
    normal = np.abs(np.cross(across, down))
    grown = np.array(pitch) / 2 * (1 if kind == "seg" else normal.round())
    inside = [mm.min(0) - grown, mm.max(0) + grown]
    assert (np.abs(np.ravel(inside) - found.mm) <= np.tile(pitch, 2) * 0.51).all()
    assert written.PatientID == dicoms.CANARY, "it belongs to the study it was made for"
    assert written.StudyInstanceUID == dicoms.STUDY


def test_a_multi_frame_file_is_segmented_on_the_frames_the_box_crosses(tmp_path):
    """Its frames are stored out of order; the mask of each must be that of its own place."""
    path = dicoms.save(tmp_path / "a", [dicoms.multi_frame()]) / "0000.dcm"
    one = asked(path)
    [found] = evidence_of(one.trace, one.prepared)
    written = pydicom.dcmread(one.write_evidence(tmp_path / "boxes.seg.dcm"))
    z = []
    for mask, group in zip(written.pixel_array, written.PerFrameFunctionalGroupsSequence, strict=True):
        if mask.any():
            z.append(float(group.PlanePositionSequence[0].ImagePositionPatient[2]))
    pitch = one.prepared.volume.spacing_mm[2]
    assert found.mm is not None
    assert abs(min(z) - pitch / 2 - found.mm[2]) <= 0.51 * pitch
    assert abs(max(z) + pitch / 2 - found.mm[5]) <= 0.51 * pitch


def test_a_tilted_series_is_segmented_on_its_own_slices(tmp_path):
    one = asked(series(tmp_path, tilt=0.8))
    written = pydicom.dcmread(one.write_evidence(tmp_path / "boxes.seg.dcm"))
    [found] = evidence_of(one.trace, one.prepared)
    assert written.NumberOfFrames == pytest.approx(found.voxels.size[2], abs=0.5)


@pytest.mark.parametrize("kind", ["seg", "sr"])
def test_an_anonymised_series_is_written_about_all_the_same(tmp_path, kind):
    made = dicoms.slices_of(np.rint(voxels()), AFFINE)
    for one in made:
        dicoms.with_(one, PatientID=None, PatientName=None, PatientBirthDate=None, PatientSex=None, StudyDate=None)
        dicoms.with_(one, StudyTime=None, AccessionNumber=None, StudyID=None, SliceThickness=None, NumberOfFrames=1)
    one = asked(dicoms.save(tmp_path / "series", made))
    written = pydicom.dcmread(one.write_evidence(tmp_path / f"boxes.{kind}.dcm"))
    assert written.PatientID == ""


@pytest.mark.parametrize("kind", ["seg", "sr"])
def test_an_odd_uid_is_no_reason_to_print_it(tmp_path, kind):
    folder = dicoms.save(tmp_path / "series", dicoms.slices_of(np.rint(voxels()), AFFINE))
    odd = b"dccc9599087131742838cc1162a630fea87ba9bf61ac09bfda90d4adfa5ddaed"[: len(dicoms.STUDY)]
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(dicoms.STUDY.encode(), odd))
    out = asked(folder).write_evidence(tmp_path / f"out.{kind}.dcm")  # a warning would be an error
    assert odd in out.read_bytes()


def test_what_can_not_be_written_is_refused_by_name(tmp_path):
    made = dicoms.slices_of(np.rint(voxels()), AFFINE)
    nowhere = dicoms.save(tmp_path / "a", [dicoms.with_(one, FrameOfReferenceUID=None) for one in made])
    with pytest.raises(BadInput, match="needs a place") as caught:
        asked(nowhere).write_evidence(tmp_path / "boxes.seg.dcm")
    assert "FrameOfReferenceUID" in caught.value.where
    pointless = asked(dicoms.save(tmp_path / "b", dicoms.slices_of(np.rint(voxels()), AFFINE)))
    steps = (Step("<think>x</think>A. Yes<|im_end|>"),)
    pointless = replace(pointless, trace=replace(pointless.trace, steps=steps, answer=parse(steps[0].text)))
    for kind in ("seg", "sr"):
        with pytest.raises(BadInput, match="no box"):
            pointless.write_evidence(tmp_path / f"boxes.{kind}.dcm")
    assert json.loads(pointless.write_evidence(tmp_path / "boxes.json").read_text())["boxes"] == []
    assert not list(tmp_path.glob("*.dcm"))


def test_an_roi_is_turned_never_mirrored(tmp_path):
    for k, orientation in enumerate(ORIENTATIONS[::5]):
        one = asked(save(tmp_path / f"{k}.nii", voxels(), AFFINE, orientation))
        roi = json.loads(one.write_evidence(tmp_path / "boxes.mrk.json").read_text())["markups"][0]
        assert np.linalg.det(np.array(roi["orientation"]).reshape(3, 3)) == pytest.approx(1)


def test_dicom_evidence_needs_dicom(tmp_path):
    one = asked(save(tmp_path / "scan.nii", voxels(), AFFINE))
    with pytest.raises(BadInput, match="beside DICOM only"):
        one.write_evidence(tmp_path / "boxes.seg.dcm")
    with pytest.raises(BadInput, match="can't be written like this"):
        one.write_evidence(tmp_path / "boxes.txt")
    assert not list(tmp_path.glob("boxes*"))


def test_a_picture_has_boxes_but_no_roi(tmp_path):
    np.save(tmp_path / "scan.npy", voxels()[:, :, 8].T)
    one = asked(tmp_path / "scan.npy", boxes=(Box.of((10, 20, 50, 60)),))
    row = json.loads(one.write_evidence(tmp_path / "boxes.json").read_text())
    assert row["boxes"][0]["mm"] is None
    assert row["affine"] is None
    with pytest.raises(BadInput, match="places in mm"):
        one.write_evidence(tmp_path / "boxes.mrk.json")


def test_plain_evidence_tells_voxels_the_grid_and_the_words(tmp_path):
    one = asked(save(tmp_path / "scan.nii", voxels(), AFFINE))
    row = json.loads(one.write_evidence(tmp_path / "boxes.json").read_text())
    [found] = evidence_of(one.trace, one.prepared)
    assert row["shape"] == list(SHAPE)
    box = Box.from_json(row["boxes"][0]["voxels"])
    mm = apply_affine(np.array(row["affine"]), corners(box))
    assert np.allclose([*mm.min(0), *mm.max(0)], found.mm or (), atol=1e-3)
    assert row["boxes"][0]["words"] == "The left block is at"
    assert row["study_sha256"] == one.trace.study_digest
