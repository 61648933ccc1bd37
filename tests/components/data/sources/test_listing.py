import pytest

from components.data.sources.listing import check_once, existing, members
from model.interface.errors import BadInput


@pytest.mark.parametrize("path", ["../secret.nii.gz", "/etc/passwd", "a/../../b"])
def test_a_list_can_not_lead_out_of_its_folder(tmp_path, path):
    with pytest.raises(BadInput, match="leaves its folder"):
        existing(tmp_path / "set", path)


def test_what_is_missing_is_named_by_its_place_in_the_set(tmp_path):
    with pytest.raises(BadInput) as caught:
        existing(tmp_path, "imagesTr", "a.nii.gz")
    assert caught.value.where == "imagesTr/a.nii.gz: found nothing, wanted a file"
    assert str(tmp_path) not in caught.value.render()


def test_members_come_by_name_and_without_hidden_ones(tmp_path):
    for name in ("b.nii", "a.nii", "._a.nii", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in members(tmp_path, tmp_path, "*.nii")] == ["a.nii", "b.nii"]


def test_a_case_listed_twice_is_refused():
    check_once(["a", "b"], "list.json")
    with pytest.raises(BadInput) as caught:
        check_once(["a", "b", "a"], "list.json")
    assert caught.value.where == "list.json, list: found a twice, wanted each case once"
