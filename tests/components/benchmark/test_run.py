"""Sets in miniature, scored through a real checkpoint and a real server on this machine."""

import gzip
import io
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from components.benchmark.endpoint import EndpointConfig, Said
from components.benchmark.protocols import PROTOCOLS, Protocol, protocol
from components.benchmark.results import Result, beside, comparable
from components.benchmark.run import Pool, marks, run, said_of, scored, silent, together
from components.benchmark.studies import pngs_of
from components.data.vqa.item import Item
from components.data.vqa.registry import ADAPTERS
from model.interface import grammar
from model.interface.errors import BadInput
from tests.components import world
from tests.components.data.test_rewriter import endpoint, saying
from tests.components.data.vqa import layouts


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.checkpoint(tmp_path_factory.mktemp("tiny") / "tiny")


def item(k: int, *, closed: bool = True, subject: str = "", family: str = "organ") -> Item:
    options, right = (("Yes", "No"), 0) if closed else ((), None)
    text = "Yes" if closed else "left lung"
    return Item(
        "slake", f"{k}", subject or f"s{k}", (f"{k}.png",), "What?", options, right, text, "test", family, "CT",
        "unknown", "CC",
    )  # fmt: skip


def test_every_set_has_a_protocol() -> None:
    assert set(PROTOCOLS) == set(ADAPTERS)
    with pytest.raises(BadInput, match="unknown question answering set 'slack'"):
        protocol("slack")


def test_a_checkpoint_is_scored_on_the_official_split(checkpoint: Path, tmp_path: Path) -> None:
    root = layouts.slake(tmp_path / "slake")
    result = run("slake", root, tmp_path / "out", checkpoint=checkpoint)
    assert (result.set, result.split, result.asked) == ("slake", "test", 1)
    assert result.answerer.kind == "checkpoint" and len(result.answerer.digest) == 64
    assert set(result.scores) == {"open_exact", "open_f1", "open_recall"}
    assert result.headline == "open_recall"
    again = run("slake", root, tmp_path / "out", checkpoint=checkpoint)
    assert again == result == Result.read(tmp_path / "out/slake-tiny/result.json")


def test_what_is_left_out_is_told_by_reason(checkpoint: Path, tmp_path: Path) -> None:
    result = run("slake", layouts.slake(tmp_path), tmp_path / "out", checkpoint=checkpoint, split="train")
    assert result.left_out["not in English"] == 1
    assert result.asked + sum(result.left_out.values()) == 5
    assert result.scores["closed_accuracy"].n == 1


def test_a_peer_is_sent_the_picture_and_the_options(tmp_path: Path) -> None:
    root = layouts.hub(tmp_path / "rad", val=False)
    with endpoint(saying("A. Yes")) as (url, asked):
        result = run("vqa_rad", root, tmp_path / "out", endpoint=EndpointConfig(url=url, model="peer/7b"))
    assert result.answerer.name == "peer-7b"
    closed, opened = result.scores["closed_accuracy"], result.scores["open_recall"]
    assert (closed.value, closed.n, opened.value, opened.n) == (1, 1, 0, 1)
    picture, words = asked[0]["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert words["text"].startswith("Is it a cyst?\n\nA. Yes\nB. No")
    with gzip.open(tmp_path / "out/vqa_rad-peer-7b/answers.jsonl.gz", "rt") as lines:
        assert [json.loads(line)["letter"] for line in lines] == ["A", None]  # an open answer has no letter


@pytest.mark.parametrize(("reply", "letter"), [("A mass is seen", None), ("B", "B"), ("<think>no</think>B. No", "B")])
def test_an_article_is_no_letter(reply: str, letter: str | None, tmp_path: Path) -> None:
    root = layouts.hub(tmp_path / "rad", val=False)
    with endpoint(saying(reply)) as (url, _):
        result = run("vqa_rad", root, tmp_path / "out", endpoint=EndpointConfig(url=url, model="m"), most=1)
    assert result.unanswered == (letter is None)
    assert result.scores["closed_accuracy"].value == 0


def test_no_answer_counts_as_wrong_and_is_told(tmp_path: Path) -> None:
    root = layouts.hub(tmp_path / "rad", val=False)
    peer = EndpointConfig(url="http://127.0.0.1:9/v1", model="m", tries=2, pause_s=0)
    result = run("vqa_rad", root, tmp_path / "out", endpoint=peer)
    assert result.unanswered == result.asked == 2
    with gzip.open(tmp_path / "out/vqa_rad-m/answers.jsonl.gz", "rt") as lines:
        assert {json.loads(line)["error"] for line in lines} == {"no connection"}


def test_pictures_travel_encrypted_or_not_at_all(tmp_path: Path) -> None:
    root = layouts.hub(tmp_path / "rad", val=False)
    with pytest.raises(BadInput, match="unencrypted"):
        run("vqa_rad", root, tmp_path, endpoint=EndpointConfig(url="http://peer.example/v1", model="m"))
    with pytest.raises(BadInput, match="whom to ask"):
        run("vqa_rad", root, tmp_path)


def test_a_picture_that_cannot_be_read_is_left_out_and_the_others_are_asked(checkpoint: Path, tmp_path: Path) -> None:
    root = layouts.slake(tmp_path / "slake")
    layouts.put(root / "imgs/xmlab1/source.jpg", b"not a picture")
    result = run("slake", root, tmp_path / "out", checkpoint=checkpoint, split="")
    assert result.asked == 1
    with pytest.raises(BadInput, match="no item of the set can be shown"):
        run("slake", root, tmp_path / "out", checkpoint=checkpoint, split="train")


def test_a_cluster_scores_alike(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, a batch an image, of which one can't be read: the same result and answers."""
    monkeypatch.setattr("components.benchmark.run.AT_ONCE", 1)
    root = layouts.pmc_vqa_2(tmp_path / "pmc")
    layouts.put(root / "figures/PMC2_F1.jpg", b"not a picture")
    here, there = (
        run("pmc_vqa", root, tmp_path / out, checkpoint=checkpoint, split="train", pool=pool)
        for out, pool in (("here", None), ("there", Pool(workers=2)))
    )
    assert here == there
    assert (here.asked, here.left_out["the file is not what its name says"]) == (1, 1)
    file = "pmc_vqa-tiny/answers.jsonl.gz"
    assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "there" / file).read_bytes()


def test_a_letter_that_nobody_offered_is_no_answer() -> None:
    assert [silent(item(0), Said(letter, "there")) for letter in ("A", "B", "C", None)] == [False, False, True, True]
    assert [silent(item(0, closed=False), Said(None, text)) for text in ("left", "")] == [False, True]


@pytest.mark.parametrize(("reply", "letter"), [("**A**", "A"), ("The answer is yes.", "A"), ("Yes or no", None)])
def test_a_peer_is_read_as_it_plainly_chose(reply: str, letter: str | None, tmp_path: Path) -> None:
    root = layouts.hub(tmp_path / "rad", val=False)
    with endpoint(saying(reply)) as (url, _):
        result = run("vqa_rad", root, tmp_path / "out", endpoint=EndpointConfig(url=url, model="m"), most=1)
    assert (result.unanswered, result.scores["closed_accuracy"].value) == (int(letter is None), float(letter == "A"))


def test_an_open_answer_of_a_checkpoint_keeps_its_capital() -> None:
    given = grammar.parse("<think></think>E. coli")
    assert said_of(item(0, closed=False), given) == Said(None, "E. coli")
    assert said_of(item(0), given) == Said("E", "coli")


def test_marks_by_hand() -> None:
    assert marks(item(0), Said("A", "Yes")) == {"closed_accuracy": 1}
    assert marks(item(0), Said(None, "Yes")) == {"closed_accuracy": 0}
    open_one = marks(item(0, closed=False), Said(None, "in the left lung"))
    assert open_one == {"open_exact": 0, "open_f1": pytest.approx(0.8), "open_recall": 1}


def test_a_mean_over_families_weighs_them_alike() -> None:
    """Nine right of nine in one family, none of one in the other: .9 over answers, .5 over families."""
    asked = [item(k) for k in range(9)] + [item(9, family="tumour")]
    said = [Said("A", "")] * 9 + [Said("B", "")]
    found = scored(asked, said, Protocol(headline="families"))
    assert found["closed_accuracy"].value == 0.9
    assert found["closed_accuracy_by_family"].value == 0.5
    assert found["closed_accuracy_by_family"].n == 10


def test_a_subject_is_one_however_often_it_is_asked_about() -> None:
    said = [Said("A", ""), Said("B", "")] * 100
    alone = scored([item(k) for k in range(200)], said, Protocol())["closed_accuracy"]
    shared = scored([item(k, subject=f"s{k % 10}") for k in range(200)], said, Protocol())["closed_accuracy"]
    assert alone.low is not None and alone.high is not None and shared.low is not None and shared.high is not None
    assert shared.high - shared.low > 0.5
    assert alone.high - alone.low < 0.2


@pytest.mark.parametrize("subjects", [1, 9, 10])
def test_few_subjects_have_no_interval_over_families_either(subjects: int) -> None:
    """Nor do families that a draw lacks make it no number."""
    asked = [item(k, subject=f"s{k % subjects}", family=f"f{k // 10}") for k in range(20)]
    asked += [item(20 + k, closed=False) for k in range(20)]  # subjects of other questions
    said = [Said("A" if k % 3 else "B", "left") for k in range(40)]
    found = scored(asked, said, Protocol(headline="families"))
    for one in (found["closed_accuracy"], found["closed_accuracy_by_family"]):
        assert one.value is not None and one.n == 20
        assert (one.low is None) == (one.high is None) == (subjects < 10)
        assert one.low is None or one.high is None or one.low < one.value < one.high


def test_questions_about_one_image_are_asked_together() -> None:
    items = [item(k // 5) for k in range(100)]  # five to an image
    assert [len(some) for some in together(items)] == [35, 35, 30]  # none is torn from its fellows


def test_other_questions_cannot_be_compared(checkpoint: Path, tmp_path: Path) -> None:
    root = layouts.slake(tmp_path / "slake")
    test, train = (run("slake", root, tmp_path / s, checkpoint=checkpoint, split=s) for s in ("test", "train"))
    comparable(test, test)
    assert "| tiny " in beside([test, test]).splitlines()[0]
    with pytest.raises(BadInput, match="can't be compared") as error:
        comparable(test, train)
    assert "split: found test and train" in error.value.where


def test_a_volume_is_sent_as_its_slices(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 255, (20, 20, 12)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([2, 2, 4, 1])), tmp_path / "ct.nii.gz")
    one = Item("rad3d", "1", "s", ("ct.nii.gz",), "What?", ("Yes", "No"), 0, "Yes", "test", "", "CT", "patient", "CC")
    sent = pngs_of(tmp_path, one)
    assert len(sent) == 32
    assert Image.open(io.BytesIO(sent[0])).size == (252, 252)
