import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interface.errors import BadInput
from model.interface.strict_json import read_json

FAULTS = {
    "empty": (b"", "0 bytes"),
    "NaN": (b'{"x": NaN}', "NaN"),
    "infinite": (b"[1e400]", "1e400, which is no finite number"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "nested 100000 deep, wanted up to 64"),
    "twice": (b'{"label": 1, "label": 2}', "'label' twice"),
    "UTF-16": ("{}".encode("utf-16"), "found UTF-16, wanted UTF-8"),
    "bad byte": (b'{"a": \xff}', "a bad byte at 6"),
    "surrogate": (rb'["\ud800"]', "surrogate"),
    "digits": (b"[" + b"1" * 5000 + b"]", "5000 digits, too long"),
    "ends early": (b'{"a": [1, ', "line 1, column 11"),
    "huge": (b" " * (17 << 20), "up to 16 MiB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_lenient_reader_would_guess_at_is_refused(tmp_path, fault):
    content, told = FAULTS[fault]
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_json(tmp_path / "a.json")
    assert told in caught.value.where
    assert caught.value.where.startswith("a.json: found ")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="can't be opened"):
        read_json(tmp_path / "absent.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(value=VALUES, mark=st.booleans())
def test_good_json_is_read_as_it_is(tmp_path_factory, value, mark):
    path = tmp_path_factory.getbasetemp() / "good.json"
    path.write_text(json.dumps(value), encoding="utf-8-sig" if mark else "utf-8")
    assert read_json(path) == value
