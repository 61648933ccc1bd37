import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.labels import NAMES
from components.data.lesions import KINDS
from components.data.sources import abdomenatlas, amos22, brats, msd, ontology
from components.data.sources.ontology import canonical, entry, named, named_all
from model.interface.errors import BadInput

TOTAL = """
spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left
lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right esophagus
trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum
vertebrae_S1 vertebrae_L5 vertebrae_L4 vertebrae_L3 vertebrae_L2 vertebrae_L1 vertebrae_T12 vertebrae_T11 vertebrae_T10
vertebrae_T9 vertebrae_T8 vertebrae_T7 vertebrae_T6 vertebrae_T5 vertebrae_T4 vertebrae_T3 vertebrae_T2 vertebrae_T1
vertebrae_C7 vertebrae_C6 vertebrae_C5 vertebrae_C4 vertebrae_C3 vertebrae_C2 vertebrae_C1 heart aorta pulmonary_vein
brachiocephalic_trunk subclavian_artery_right subclavian_artery_left common_carotid_artery_right
common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right atrial_appendage_left superior_vena_cava
inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right iliac_vena_left iliac_vena_right
humerus_left humerus_right scapula_left scapula_right clavicula_left clavicula_right femur_left femur_right hip_left
hip_right spinal_cord gluteus_maximus_left gluteus_maximus_right gluteus_medius_left gluteus_medius_right
gluteus_minimus_left gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain skull
sternum costal_cartilages
"""

"""Of the 117 classes of version 2, as its files are named, all but the ribs."""
RIBS = [f"rib_{side}_{i}" for side in ("left", "right") for i in range(1, 13)]
FIRST_VERSION = (
    "heart_myocardium", "heart_atrium_left", "heart_ventricle_left", "heart_atrium_right", "heart_ventricle_right",
    "pulmonary_artery", "face",
)  # fmt: skip
"""What version 1 has besides."""


def test_all_classes_of_totalsegmentator_are_known():
    classes = {*TOTAL.split(), *RIBS}
    assert len(classes) == 117
    known = [canonical(name) for name in (*classes, *FIRST_VERSION)]
    assert None not in known
    assert len(set(known)) == len(known)


@pytest.mark.parametrize("table", [amos22.LABELS, abdomenatlas.LABELS, brats.LABELS, brats.OLDER_LABELS])
def test_the_tables_of_the_adapters_are_known(table):
    names, warnings = named_all(table)
    assert not warnings
    assert len(set(names.values())) == len(table)


def test_what_the_decathlon_means_is_known():
    assert all(canonical(name) == name for meant in msd.MEANT.values() for name in meant.values())
    assert canonical("left atrium") == "left atrium"
    assert [canonical(name) for name in ("PZ", "TZ")] == ["prostatic peripheral zone", "prostatic transition zone"]


def test_the_embedded_anatomy_keeps_its_names():
    assert all(canonical(name) == name for name in (*NAMES[1:], *KINDS))


def test_no_spelling_means_two_things():
    said: dict[tuple[str, str], str] = {}
    for known, spellings in ontology._known():
        for spelling in spellings:
            assert said.setdefault(ontology._key(spelling), known.name) == known.name
        assert canonical(known.name) == known.name


def test_partners_are_each_others_and_share_everything_but_the_side():
    for name in (canonical(name) or "" for name in (*TOTAL.split(), *RIBS)):
        known = entry(name)
        assert bool(known.partner) == (known.side != "" and name != "right middle lung lobe")
        if known.partner:
            other = entry(known.partner)
            assert (other.partner, other.system, other.kind) == (name, known.system, known.kind)
            assert {known.side, other.side} == {"left", "right"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("kidney_left", "left kidney"), ("Left Kidney", "left kidney"), ("Right adrenal gland", "right adrenal gland"),
        ("postcava", "inferior vena cava"), ("NCR", "necrotic tumour core"), ("ED", "peritumoural oedema"),
        ("ET", "enhancing tumour"), ("liver tumor", "liver tumour"), ("Oesophagus", "oesophagus"),
        ("prostate/uterus", "prostate or uterus"), ("Left-Lateral-Ventricle", "left lateral ventricle"),
        ("kidney", "kidney"), ("colon cancer primaries", "colon tumour"),
    ],
)  # fmt: skip
def test_sets_spell_one_thing_in_many_ways(theirs, ours):
    assert canonical(theirs) == ours


@pytest.mark.parametrize("name", ["cancer", "edema", "ventricle left lesion", "", "background"])
def test_what_means_different_things_in_different_sets_is_not_guessed(name):
    assert canonical(name) is None


@given(
    st.sampled_from(["cochlea", "parotid gland", "optic nerve", "hippocampal head"]), st.sampled_from(["_", " ", "-"])
)
def test_an_unknown_paired_name_has_its_partner(base, joint):
    name, warning = named(f"{base}{joint}Left".replace(" ", joint))
    assert name == f"left {base}"
    assert "not in the ontology" in warning
    assert entry(name).partner == f"right {base}"
    assert entry(entry(name).partner).partner == name
    assert entry(name).system == ""


def test_an_unknown_name_is_a_structure_unless_its_words_say_lesion():
    assert entry(named("Buccal mucosa")[0]) == ontology.Entry("buccal mucosa", "", "", "", "structure")
    assert entry(named("brain_metastasis")[0]).kind == "lesion"
    assert entry(named("Left adrenal Adenocarcinoma")[0]).kind == "lesion"
    assert entry(named("left masseter")[0]).kind == entry(named("cystic duct")[0]).kind == "structure"
    assert entry(named("arachnoid cyst")[0]).kind == "lesion"
    with pytest.raises(BadInput, match="no letters"):
        named("***")


def test_a_side_at_either_end_may_be_short():
    for name in ("Kidney L", "lt kidney", "kidney_left", "L kidney"):
        assert named(name)[0] == "left kidney"
    assert entry(named("thing r")[0]).partner == "left thing"


def test_names_of_other_letters_stay_apart():
    names, _ = named_all({1: "肝臓", 2: "腎臓", 3: "Leberläsion"})
    assert len(set(names.values())) == 3
    with pytest.raises(BadInput, match="two labels would have one name"):
        named_all({1: "odd-thing", 2: "odd thing"})
