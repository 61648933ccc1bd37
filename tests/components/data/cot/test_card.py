import json

from PIL import Image

from components.data.cot import build, card
from model.imaging import shards
from tests.components.data.cot.conftest import config_of


def test_the_card_counts_what_is_in_the_shards(built, tmp_path):
    told = card.write(built.out, tmp_path / "results")
    asked = [q for split in build.SPLITS for q in shards.read_questions(built.out, split)]
    assert sum(split["n"] for split in told["splits"].values()) == len(asked)
    assert sum(told["licences"].values()) == len(asked)
    boxes = sum(r.box is not None for q in asked for r in q.rationale)
    assert sum(map(sum, told["box_sizes"].values())) == boxes
    assert all(len(set(right.values())) == 1 for right in told["letters"].values()), "no letter is right more often"
    assert json.loads((tmp_path / "results/metrics.json").read_text()) == json.loads(json.dumps(told))
    page, html = (built.out / "card.md").read_text(), (built.out / "card.html").read_text()
    for title in ("Splits", "Families", "What words alone give away", "Right letters", "Sizes of boxes", "Licences"):
        assert f"## {title}" in page
        assert f"<h2>{title}</h2>" in html
    assert 'src="data:image/png' in html
    assert "http" not in html.replace("http-equiv", ""), "nothing is loaded from elsewhere"
    with Image.open(built.out / "card.png") as picture:
        assert picture.size[0] == 4 * 340


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
