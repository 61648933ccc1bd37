import json

from hypothesis import given
from hypothesis import strategies as st

from model.interface.strict_json import read_json

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
