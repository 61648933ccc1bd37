"""Questions become rows whose trained words are the teacher's: of a build from masks, open questions too."""

from pathlib import Path

import pytest

from components.data.cot import build
from components.data.cot.style import Style
from components.training.examples import answer_of, cases, example
from model.interface.grammar import THINK_OPEN, TURN_END, parse, write_answer
from model.interface.prompt import filled
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from tests.components import world
from tests.components.data.cot.conftest import blob_source, config_of  # noqa: F401  blob_source is a fixture


@pytest.fixture(scope="module")
def made(blob_source, tmp_path_factory) -> tuple[Checkpoint, Path]:  # noqa: F811
    root = tmp_path_factory.mktemp("examples")
    config = config_of(
        root / "data", cases=24, cases_per_shard=24, workers=1, held_out=(0, 0), slices=2, style=Style(open=0.5)
    )
    build.run(config)
    return folders.load(world.checkpoint(root / "base")), config.out


def test_what_is_trained_is_the_rationale_and_the_answer(made):
    checkpoint, data = made
    met = set()
    for case in cases(data, "train", checkpoint):
        told = example(case, checkpoint)
        for branch, question in zip(told.branches, case.questions, strict=True):
            said = checkpoint.vocabulary.text([i for i, t in zip(branch.ids, branch.trained, strict=True) if t])
            places = tuple(case.prepared.frame.to_model(region) for region in question.regions)
            assert said.startswith(THINK_OPEN + question.rationale[0].text)
            assert said.endswith(write_answer(*answer_of(question, places)) + TURN_END)
            read = parse(said.removesuffix(TURN_END))
            assert not read.flaws
            assert read.choice == question.letter
            boxes = [case.prepared.frame.to_model(r.box) for r in question.rationale if r.box]
            assert list(read.evidence) == boxes
            if question.reply:
                assert read.text == filled(question.reply, places, flat=question.dimension == 2)
            met.add((question.dimension, bool(question.options), bool(question.regions)))
    assert met == {(d, closed, boxed) for d in (2, 3) for closed in (True, False) for boxed in (True, False)}
