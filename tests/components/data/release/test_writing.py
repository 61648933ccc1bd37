"""What is written is read again: the same conversations, boxes and answers, in others' form and in ours."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.data.release import rows, writing
from components.data.release.reading import resized, samples, to_shards, told
from components.data.release.rows import conversations, tasks
from components.data.release.writing import SHOWN, answer_text, write
from components.data.vqa.item import Report
from components.training.examples import answer_of, cases, example, examples, in_model_space
from model.imaging import shards
from model.imaging.prepare import prepare
from model.imaging.shards import Study
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.grammar import BOX_OPEN, parse, write_answer, write_box
from model.interface.prompt import question_text
from model.interface.question import Question, Remark
from model.vlm.checkpoint import load
from tests.components import world

SMALL = Contract(
    patch=14, image_side=84, volume_side=56, slices=3, crop_side=112, crop_slices=2, slice_labels=False, channels="grey"
)
SHAPES = {2: (40, 30, 1), 3: (20, 18, 6)}
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="<>{}|\n\r", exclude_categories=("C", "Z")), min_size=1)
SENTENCES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


def study(dimension: int) -> Study:
    voxels = np.random.default_rng(dimension).integers(0, 255, SHAPES[dimension], np.uint8)
    volume = Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "MR", True, "axial")
    return Study(f"s{dimension}", "9861", "train", "T1", volume, "h", "CC BY 4.0", "painted")


@st.composite
def boxes(draw, dimension: int) -> Box:
    spans = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in SHAPES[dimension]]
    (x1, x2), (y1, y2), (z1, z2) = spans
    return Box.of((x1, y1, z1, x2, y2, z2))


@st.composite
def questions(draw, name: str) -> Question:
    dimension = draw(st.sampled_from([2, 3]))
    remarks = draw(st.lists(st.builds(Remark, SENTENCES, st.none() | boxes(dimension)), min_size=1, max_size=3))
    options = tuple(draw(st.lists(SENTENCES, min_size=2, max_size=5, unique=True) | st.just([])))
    is_open = not options
    regions = tuple(draw(st.lists(boxes(dimension), min_size=len(options), max_size=len(options))))
    if regions and draw(st.booleans()):
        options = tuple(f"{{{k}}}" for k in range(len(regions)))
    return Question(
        id=name, study=f"s{dimension}", subject="9861", split="train", dimension=dimension, family="size comparison",
        text=draw(SENTENCES), options=options, regions=regions, contrast="T1", rationale=tuple(remarks),
        answer=None if is_open else draw(st.integers(0, len(options) - 1)), licence="CC BY 4.0",
        reply=draw(SENTENCES) if is_open else "",
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed")
    shards.write_studies(folder, "train", [study(2), study(3)])
    return folder


SOME = st.integers(0, 3).flatmap(lambda n: st.tuples(*(questions(f"q{k}") for k in range(n))))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=SOME, slices=st.booleans())
def test_what_is_written_is_read_again(folder, tmp_path_factory, asked, slices):
    out = tmp_path_factory.mktemp("out")
    shards.write_questions(folder, "train", asked)
    counts = write(folder, "train", out, SMALL, slices=slices)
    ordered = sorted(asked, key=lambda q: q.dimension)
    assert counts.conversations == len(ordered)
    assert counts.text_only == sum(q.dimension == 3 and not slices for q in asked)
    stored = {d: prepare(study(d).volume, SMALL) for d in (2, 3)}
    read, report = list(conversations(out)), Report()
    back = {sample.question.id: sample for sample in samples(out, report)}
    goals = list(tasks(out))
    for question, row, goal in zip(ordered, read, goals, strict=True):
        prepared = stored[question.dimension]
        places = tuple(prepared.frame.to_model(region) for region in question.regions)
        pointed = [in_model_space(remark, prepared).box for remark in question.rationale if remark.box]
        found = told(row)
        assert found.dimension == question.dimension
        assert row.messages[1].content.replace(rows.PLACE, "") == question_text(question, places)
        assert parse(found.trace).evidence == found.answer.evidence == tuple(pointed)
        assert found.trace.endswith(answer_text(question, places))
        assert goal.ground_truth == (question.letter or question.reply)
        assert goal.prompt == row.messages[:2]
        assert goal.image_ids == found.shown == row.image_ids[: row.messages[1].content.count(rows.PLACE)]
        assert goal.facts["subject"] == row.facts["subject"] == "9861"
        if question.id in back:
            sample = back[question.id]
            assert sample.question.letter == question.letter
            assert (sample.study is None) == (question.dimension == 3 and not slices)
            again = prepare(sample.study.volume, SMALL) if sample.study else None
            if again:
                same = [in_model_space(remark, again).box for remark in sample.question.rationale if remark.box]
                assert same == pointed
            assert sample.question.split == "train"
    assert (report.used, report.unused.total()) == (len(asked), 0)


@given(question=questions("q"))
def test_answers_are_what_training_says(question):
    prepared = prepare(study(question.dimension).volume, SMALL)
    places = tuple(prepared.frame.to_model(region) for region in question.regions)
    assert answer_text(question, places) == write_answer(*answer_of(question, places))


def simple(name: str, dimension: int = 2) -> Question:
    box = Box.of((3, 4, 0, 20, 20, 1) if dimension == 2 else (2, 2, 1, 9, 9, 4))
    said = (Remark("It is at", box), Remark("So."))
    return Question(
        name, f"s{dimension}", "9861", "train", dimension, "lesion analysis", "What?", ("a", "b"), 1, (), "T1", said
    )


def test_a_picture_is_stored_once_and_named_by_its_digest(folder, tmp_path):
    shards.write_questions(folder, "train", [simple(f"q{k}") for k in range(3)])
    counts = write(folder, "train", tmp_path, SMALL)
    table = pq.read_table(tmp_path / "images/train.parquet").to_pylist()
    assert counts.pictures == len(table) == 2  # the slice and its crop
    for row in table:
        assert row["image_id"] == hashlib.sha256(row["bytes"]).hexdigest()
        assert row["path"].endswith(f"{row['image_id']}.png")


def test_the_default_contract_is_what_qwen_s_processor_leaves_alone(folder, tmp_path):
    shards.write_questions(folder, "train", [simple("q0"), simple("q1", 3)])
    write(folder, "train", tmp_path, slices=True)
    rows_ = list(samples(tmp_path))
    assert [s.study.volume.shape for s in rows_ if s.study] == [(252, 196, 1), (252, 252, 32)]
    assert resized(252, 196) == (252, 196)


def test_a_contract_of_other_tokens_is_refused(folder, tmp_path):
    with pytest.raises(BadInput, match="other pixels"):
        write(folder, "train", tmp_path, Contract())


def test_the_schema_does_not_depend_on_the_rows(folder, tmp_path):
    for k, dimension in enumerate((2, 3)):
        shards.write_questions(folder, "train", [simple("q", dimension)])
        write(folder, "train", tmp_path / str(k), SMALL)
    for kind, schema in (("sft", rows.SFT), ("rl", rows.RL), ("images", rows.IMAGES)):
        flat, deep = (pq.read_schema(tmp_path / f"{k}/{kind}/train.parquet") for k in "01")
        assert flat == deep
        assert flat.names == schema.names


def test_an_interrupted_writing_leaves_nothing(folder, tmp_path, monkeypatch):
    shards.write_questions(folder, "train", [simple("q")])
    monkeypatch.setattr(writing, "_png", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(folder, "train", tmp_path, SMALL)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_default_contract_has_the_paper_s_geometry():
    assert (SHOWN.image_side, SHOWN.volume_side, SHOWN.slices, SHOWN.factor) == (252, 252, 32, 28)


def test_a_release_becomes_shards_that_training_reads(folder, tmp_path):
    asked = [simple("q0"), simple("q1"), simple("q2", 3)]
    shards.write_questions(folder, "train", asked)
    write(folder, "train", tmp_path / "deep", SMALL, slices=True)
    write(folder, "train", tmp_path / "flat", SMALL)
    report = Report()
    to_shards(tmp_path / "deep", tmp_path / "ours", "train", report)
    shards.verify(tmp_path / "ours")
    assert (report.used, report.unused.total()) == (3, 0)
    checkpoint = load(world.checkpoint(tmp_path / "tiny"))
    read = cases(tmp_path / "ours", "train", checkpoint)
    assert [(case.prepared.dimension, len(case.questions)) for case in read] == [(2, 2), (3, 1)]
    for case in read:
        made = example(case, checkpoint)
        said = [checkpoint.vocabulary.text(branch.ids) for branch in made.branches]
        assert all("</think>B. b" in one and BOX_OPEN in one for one in said)
    report = Report()
    to_shards(tmp_path / "flat", tmp_path / "ours2", "val", report)
    assert (report.used, report.unused) == (2, {"text alone": 1})
    assert {q.split for q in shards.read_questions(tmp_path / "ours2", "val")} == {"val"}


def test_text_alone_is_trained_on_where_it_is_kept(folder, tmp_path):
    """A released volume without slices: a row without pictures, its boxes as the teacher wrote them."""
    shards.write_questions(folder, "train", [simple("q0"), simple("q2", 3)])
    write(folder, "train", tmp_path / "flat", SMALL)
    report = Report()
    to_shards(tmp_path / "flat", tmp_path / "ours", "train", report, text=True)
    assert (report.used, report.unused.total()) == (2, 0)
    checkpoint = load(world.checkpoint(tmp_path / "tiny"))
    items, rows = examples(tmp_path / "ours", "train", checkpoint)
    assert [item.kind for item in items] == ["images", "text"]
    made = rows[items[1].place]
    [branch], row = made.branches, made.row([0])
    assert not row.features
    assert not any([*made.shared.is_picture, *branch.is_picture])
    said = checkpoint.vocabulary.text([i for i, t in zip(branch.ids, branch.trained, strict=True) if t])
    [question] = [q for q in shards.read_questions(tmp_path / "ours", "train") if not q.study]
    assert write_box(question.rationale[0].box, flat=False) in said
    assert len(cases(tmp_path / "ours", "train", checkpoint)) == 1
