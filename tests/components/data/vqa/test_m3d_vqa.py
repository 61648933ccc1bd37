from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_m3d_vqa_knows_nobody_s_sides_and_wants_letter_and_text_to_agree(tmp_path):
    items, report = read("m3d_vqa", layouts.m3d_vqa(tmp_path), "test")
    assert [i.family for i in items.values()] == ["plane", "location"]
    assert [i.sides for i in items.values()] == ["unknown", "unknown"]
    assert {i.images for i in items.values()} == {("M3D_Cap_npy/ct_case/000001/Axial.npy",)}
    assert {i.subject for i in items.values()} == {"ct_case/000001"}
    assert report.unused == {"letter and text name different options": 1}
