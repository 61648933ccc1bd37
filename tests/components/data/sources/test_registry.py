"""What every adapter promises, on a small fake of its own set."""

import pickle
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.sources.case import Case
from components.data.sources.registry import ADAPTERS, adapter
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, BUILDERS, ORIENTATIONS

NAMES = sorted(BUILDERS)


def built(name: str, root: Path, seed: int = 0) -> list[Case]:
    BUILDERS[name](root, np.random.default_rng(seed), AS_STORED)
    return list(adapter(name).cases(root))


def plain(case: Case) -> Case:
    """Without its reader, which isn't equal to another one."""
    return replace(case, open=len)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6)
@given(orientation=st.sampled_from(ORIENTATIONS), seed=st.integers(0, 1 << 30))
def test_outlines_are_the_masks_that_were_painted(name, orientation, seed):
    with TemporaryDirectory() as root:
        truth = BUILDERS[name](Path(root), np.random.default_rng(seed), orientation)
        found = {case.study: case for case in adapter(name).cases(Path(root))}
        assert set(found) == set(truth)
        for study, painted in truth.items():
            labelled = found[study].open()
            assert {outline.name for outline in labelled.outlines} == set(painted)
            for outline in labelled.outlines:
                assert (outline.mask(labelled.volume.shape) == painted[outline.name]).all()


@pytest.mark.parametrize("name", NAMES)
def test_listing_is_ordered_and_reads_no_pixels(name, tmp_path):
    cases = built(name, tmp_path)
    for case in cases:
        for path in case.files:
            path.write_bytes(b"no image")
    again = list(adapter(name).cases(tmp_path))
    assert [plain(case) for case in again] == [plain(case) for case in cases]
    assert len({case.study for case in cases}) == len(cases) > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_case_says_where_it_comes_from(name, tmp_path):
    for case in built(name, tmp_path):
        assert case.source == name == adapter(name).NAME
        assert case.licence
        assert case.split in ("train", "val", "test", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_opened_by_another_process_to_the_same(name, tmp_path):
    case = built(name, tmp_path)[0]
    here, there = case.open(), pickle.loads(pickle.dumps(case)).open()
    assert here.volume.digest == there.volume.digest
    assert here.sides == there.sides
    assert here.sought == there.sought


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", [0, -1])
def test_a_missing_file_is_named_when_listed(name, which, tmp_path):
    files = built(name, tmp_path)[-1].files
    for path in files[1:] if which else files[:1]:  # a mask of many may be missing, not all of them
        path.unlink()
    with pytest.raises(BadInput) as caught:
        list(adapter(name).cases(tmp_path))
    told = caught.value.where
    assert files[which].name.split(".")[0] in told or "segmentations" in told
    assert str(tmp_path) not in caught.value.render()


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_named_when_opened(name, tmp_path):
    case = built(name, tmp_path)[0]
    for path in (case.files[0], case.files[-1]):
        kept = path.read_bytes()
        path.write_bytes(kept[: len(kept) // 3])
        with pytest.raises(BadInput, match=r".") as caught:
            case.open()
        assert path.name in caught.value.where
        path.write_bytes(kept)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_the_set_is_refused(name, tmp_path):
    with pytest.raises(BadInput, match="missing"):
        list(adapter(name).cases(tmp_path))


def test_an_unknown_source_is_told_the_known_ones():
    with pytest.raises(BadInput) as caught:
        adapter("kits")
    assert "folder" in caught.value.where


def test_every_adapter_has_a_fake_of_its_layout():
    assert {*NAMES, "embedded"} == set(ADAPTERS)
