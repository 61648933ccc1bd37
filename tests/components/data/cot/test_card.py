import json

import pytest
from PIL import Image

from components.data.cot import build, card, check
from components.data.cot.page import markdown
from components.data.cot.plan import SPLITS
from model.imaging import shards
from model.interface.errors import BadInput
from tests.components.data.cot.conftest import config_of


def test_the_card_counts_what_is_in_the_shards(built, tmp_path):
    told = card.write(built.out, tmp_path / "results")
    asked = [q for split in SPLITS for q in shards.read_questions(built.out, split)]
    assert sum(split["n"] for split in told["splits"].values()) == len(asked)
    assert sum(told["licences"].values()) == len(asked)
    boxes = sum(r.box is not None for q in asked for r in q.rationale)
    assert sum(map(sum, told["box_sizes"].values())) == boxes
    assert all(len(set(right.values())) == 1 for right in told["letters"].values()), "no letter is right more often"
    assert json.loads((tmp_path / "results/metrics.json").read_text()) == json.loads(json.dumps(told))
    page, html = (built.out / "card.md").read_text(), (built.out / "card.html").read_text()
    for title in (
        "Splits", "Families", "What words alone give away", "Right letters", "Sizes of boxes", "Licences",
        "Left and right", "What had to be assumed",
    ):  # fmt: skip
        assert f"## {title}" in page
        assert f"<h2>{title}</h2>" in html
    assert 'src="data:image/png' in html
    assert "http" not in html.replace("http-equiv", ""), "nothing is loaded from elsewhere"
    with Image.open(built.out / "card.png") as picture:
        assert picture.size[0] == 4 * 340


def test_the_card_counts_what_was_assumed_and_whose_sides_are_known(built, tmp_path):
    told = card.write(built.out, tmp_path / "results")
    assert told["sides"]["blobs"]["known"] == told["sides"]["blobs"]["cases"] == 120
    assert 40 < told["sides"]["blobs"]["checked"] < 120
    assert told["assumed"] == {}
    assert "Nothing." in markdown(told)
    assert "| reason |" not in markdown(told)
    told |= {"assumed": {"label 'a|b' is not known": 7}}
    told["sides"]["blobs"]["crossed"] = [f"c{k}" for k in range(6)]
    assert "| label 'a\\|b' is not known | 7 |" in markdown(told)
    assert "| 6 | c0, c1, c2, c3, c4, … |" in markdown(told)


@pytest.mark.parametrize("half", [False, True])
def test_a_card_without_a_build_says_what_to_do(blob_source, tmp_path, half):
    config = config_of(tmp_path / "mine", cases=16, cases_per_shard=8, workers=1)
    if half:
        build.run(config)
        (config.out / shards.MANIFEST).unlink()
    for work in (lambda: card.write(config.out, tmp_path), lambda: check.check(config)):
        with pytest.raises(BadInput, match="isn't finished" if half else "nothing was built here") as caught:
            work()
        assert str(config.out) in caught.value.where
        assert "urm data build" in caught.value.next


def test_a_card_does_not_break_the_seal_nor_name_another_data_set(built, tmp_path):
    before = card.write(built.out, tmp_path)["digest"]
    shards.verify(built.out)
    assert card.write(built.out, tmp_path)["digest"] == before


def test_a_card_goes_when_what_it_tells_of_goes(blob_source, tmp_path):
    config = config_of(tmp_path / "data", cases=16, cases_per_shard=8, workers=1)
    build.run(config)
    card.write(config.out, tmp_path / "results")
    build.run(config)
    assert (config.out / "card.md").exists()
    next(config.out.glob("*-questions.parquet")).unlink()
    build.run(config)
    assert not (config.out / "card.md").exists()
    shards.verify(config.out)
