import pytest

from components.data.vqa import hub, vqa_rad
from model.interface.errors import BadInput
from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import png


def test_a_picture_inside_a_table_is_found_again(tmp_path):
    layouts.hub(tmp_path, val=False)
    items = {item.id: item for item in vqa_rad.items(tmp_path)}
    assert hub.picture(tmp_path, items["test-00000-1"].images[0]) == png(4)
    with pytest.raises(BadInput, match="no such picture"):
        hub.picture(tmp_path, "data/test-00000-of-00001-c3.parquet#9")
