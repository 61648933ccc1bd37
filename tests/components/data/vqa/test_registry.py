"""What holds for every adapter."""

import shutil

import pytest

from components.data.vqa.item import Item, Report, to_question, why_not_askable
from components.data.vqa.registry import ADAPTERS, adapter
from model.interface.errors import BadInput
from tests.components.data.vqa.layouts import LAYOUTS, read

ENDINGS = (".json", ".jsonl", ".csv", ".parquet")
DATA = ("**/*.json", "**/*.jsonl", "**/*.csv", "**/*.parquet")


@pytest.fixture(params=ADAPTERS)
def laid(request, tmp_path):
    return request.param, LAYOUTS[request.param](tmp_path)


def test_every_adapter_has_a_miniature():
    assert set(ADAPTERS) == set(LAYOUTS)


def test_items_are_counted_unique_and_named_after_their_set(laid):
    name, root = laid
    report = Report()
    items = list(adapter(name).items(root, "", report))
    assert report.used == len(items) > 0
    assert report.unused.total() > 0
    assert len({item.id for item in items}) == len(items)
    assert {item.source for item in items} == {name}
    assert all(item.licence and item.split in ("train", "val", "test") for item in items)
    assert f"{len(items)} used" in report.render()


def test_splits_taken_one_by_one_are_the_whole(laid):
    name, root = laid
    items, _ = read(name, root)
    parts: dict[str, Item] = {}
    for split in {item.split for item in items.values()}:
        parts |= read(name, root, split)[0]
    assert parts == items


def test_an_unknown_split_is_told_those_there_are(laid):
    name, root = laid
    with pytest.raises(BadInput, match="no such split") as caught:
        read(name, root, "nowhere")
    assert "test" in caught.value.where or "val" in caught.value.where


def test_what_can_be_asked_becomes_a_question_with_options_in_the_set_s_order(laid):
    name, root = laid
    for item in read(name, root)[0].values():
        if why_not_askable(item):
            with pytest.raises(BadInput, match="nobody knows whose"):
                to_question(item, "s", 2)
            continue
        asked = to_question(item, "s", 3)
        assert (asked.options, asked.letter, asked.split) == (item.options, item.letter, item.split)
        assert asked.reply == ("" if item.options else item.answer_text)
        assert item.answer is None or asked.options[item.answer] == item.answer_text


def test_a_missing_table_is_named(laid):
    name, root = laid
    tables = sorted({path for pattern in DATA for path in root.glob(pattern)})
    for path in tables:
        path.rename(path.with_suffix(".gone"))
    with pytest.raises(BadInput) as caught:
        read(name, root)
    assert any(caught.value.where.split(":")[0].split(",")[0].endswith(ending) for ending in ENDINGS)
    assert str(root.parent) not in caught.value.render()


def test_a_damaged_table_is_named(laid):
    name, root = laid
    for path in sorted({path for pattern in DATA for path in root.glob(pattern)}):
        path.write_bytes(path.read_bytes()[: len(path.read_bytes()) * 2 // 5] + b'\xff"')
    with pytest.raises(BadInput) as caught:
        read(name, root)
    assert "found" in caught.value.where
    assert "wanted" in caught.value.where


@pytest.mark.parametrize(
    "name", ["slake", "pmc_vqa", "omni_med_vqa", "medxpertqa_mm", "m3d_vqa", "deep_tumor_vqa"]
)  # the rest keep their images in their tables, or count those that are published elsewhere
def test_a_missing_image_is_named(name, tmp_path):
    root = LAYOUTS[name](tmp_path)
    for folder in ("imgs", "figures", "Images", "images", "M3D_Cap_npy", "benchmark/ct"):
        shutil.rmtree(root / folder, ignore_errors=True)
    with pytest.raises(BadInput, match="a part of the set is missing"):
        read(name, root)


def test_an_unknown_set_is_told_the_known_ones():
    with pytest.raises(BadInput) as caught:
        adapter("slak")
    assert "slake" in caught.value.where
