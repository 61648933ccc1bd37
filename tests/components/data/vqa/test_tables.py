import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.data.vqa import tables
from components.data.vqa.tables import csv_rows, json_lines, json_rows
from model.interface.errors import BadInput

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)


@given(entries=ENTRIES, indent=st.sampled_from([None, 1]), chunk=st.integers(1, 40), before=VALUES)
@example(entries=[{"a": -1.5e-7}], indent=None, chunk=1, before=-1.5e-7)
def test_a_list_read_in_pieces_is_what_json_reads(tmp_path_factory, entries, indent, chunk, before):
    path = tmp_path_factory.getbasetemp() / "entries.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CHUNK", chunk)
        path.write_text(json.dumps(entries, indent=indent, ensure_ascii=False), encoding="utf-8")
        assert [row for _, row in json_rows(path.parent, path.name, ())] == entries
        whole = {"before": before, "list": entries, "after": 1}
        path.write_text(json.dumps(whole, indent=indent), encoding="utf-8")
        assert [row for _, row in json_rows(path.parent, path.name, (), key="list")] == entries


FAULTS = {
    "empty": ("", "0 bytes"),
    "no list": ('{"a": 1}', "found '{'"),
    "truncated": ('[{"a": 1}, {"a"', "entry 2"),
    "no end": ('[{"a": 1}', "its end"),
    "number": ("[1]", "row 1: found int, wanted an object"),
    "key": ("[{}]", "row 1: found no a, wanted a"),
    "twice": ('[{"a": 1, "a": 2}]', "a key twice"),
    "NaN": ('[{"a": NaN}]', "no finite number"),
    "deep": ("[" * 100_000, "entry 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_json_is_named(tmp_path, fault):
    content, told = FAULTS[fault]
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadInput) as caught:
        list(json_rows(tmp_path, "a.json", ("a",)))
    assert "a.json" in caught.value.where
    assert told in caught.value.where


def test_a_list_that_never_ends_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_ENTRY", 4096)
    monkeypatch.setattr(tables, "CHUNK", 1024)
    (tmp_path / "a.json").write_text('[{"a": "' + "x" * 1_000_000)
    with pytest.raises(BadInput, match="layout"):
        list(json_rows(tmp_path, "a.json", ()))


@pytest.mark.parametrize("line", ['{"a": 1} {"a": 2}', '{"a": ', "[1]"])
def test_a_bad_line_is_named(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"a": 0}\n' + line + "\n")
    with pytest.raises(BadInput) as caught:
        list(json_lines(tmp_path, "a.jsonl", ("a",)))
    assert "2" in caught.value.where


def test_a_csv_row_of_another_width_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(BadInput) as caught:
        list(csv_rows(tmp_path, "a.csv", ("a",)))
    assert "a.csv, row 2: found another number of cells, wanted 2" in caught.value.where


def test_a_missing_csv_column_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput) as caught:
        list(csv_rows(tmp_path, "a.csv", ("a", "Choice A")))
    assert "found no Choice A" in caught.value.where
