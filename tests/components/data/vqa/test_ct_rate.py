import pytest

from model.interface.errors import BadInput
from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import put_csv, read


def test_a_volume_that_is_none_of_ct_rate_s_is_named(tmp_path):
    layouts.radgenome_chestct(tmp_path)
    row = {"Volumename": "scan7.nii.gz", "Question": "?", "Answer": "a"}
    put_csv(tmp_path / "dataset/radgenome_files/train_vqa_size.csv", [row])
    with pytest.raises(BadInput) as caught:
        read("radgenome_chestct", tmp_path)
    assert "train_vqa_size.csv, row 1, volume: found 'scan7.nii.gz'" in caught.value.where
