"""What heads are taught to look at is what they really look at."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from components.training.base import language
from components.training.base.attention import Look, Watch
from components.training.base.language import (
    Drills,
    School,
    drill_rows,
    encode_scenes,
    looks_of,
    optimisers,
    reading_loss,
    row_of,
    teach,
    token_losses,
)
from components.training.base.lessons import Lesson, Teacher
from model.interface.grammar import TURN_END
from model.learning.packing import pack
from model.vlm.backbone import TinySize, freeze_tower, tiny
from model.vlm.forward import embed, hidden
from model.vlm.tokenizer import train
from model.vlm.tokens import Vocabulary
from tests.components.training.base.small import CONTRACT, NAMES, corpus

SIZE = TinySize(
    hidden=48, layers=3, heads=4, kv_heads=2, mlp=64, tower_hidden=32, tower_layers=1, tower_heads=2, tower_mlp=48
)


@pytest.fixture
def taught(tmp_path):
    tokenizer = train(["Where is the left lobe?", "Is the enhancing mass seen? Yes No"] * 9, 700)
    vlm = tiny(CONTRACT, tokenizer, SIZE, 0)
    vocabulary = Vocabulary(tokenizer)
    told = corpus(tmp_path)
    scenes = [told.scene(i, CONTRACT) for i in (0, 1)]
    rows = encode_scenes(vlm, scenes, NAMES, CONTRACT, vocabulary, np.random.default_rng(0))
    return vlm, vocabulary, rows


def test_the_watched_attention_is_the_models_own(taught):
    vlm, vocabulary, rows = taught
    packed = pack([row_of(row, 5, vocabulary)[0] for row in rows])
    with torch.no_grad():
        embedded = embed(vlm, packed.ids, packed.is_picture, packed.features)
        watch = Watch(vlm, 1, (0, 3))
        hidden(vlm, embedded, packed.places, packed.mask)
        columns = torch.arange(30, 60)
        found = [watch.weights(row, columns, packed.mask).exp() for row in range(2)]
        watch.close()
        vlm.set_attn_implementation("eager")
        additive = torch.where(packed.mask, 0.0, torch.finfo(torch.float32).min)[:, None]
        told = vlm.model.language_model(
            inputs_embeds=embedded,
            position_ids=packed.places.permute(2, 0, 1),
            attention_mask={"full_attention": additive},
            use_cache=False,
            output_attentions=True,
        ).attentions[1]
    for row in range(2):
        assert torch.allclose(found[row], told[row][[0, 3]][:, columns], atol=1e-5)


def test_the_loss_is_nothing_where_all_that_is_visible_is_wanted_and_more_where_less_is(taught):
    vlm, vocabulary, rows = taught
    row, _ = row_of(rows[0], 4, vocabulary)
    packed = pack([row])
    watch = Watch(vlm, 1, (0, 2))
    hidden(vlm, embed(vlm, packed.ids, packed.is_picture, packed.features), packed.places, packed.mask)
    whole, half = (watch.loss([[Look(40, np.arange(0, 41, step))]], packed.mask) for step in (1, 2))
    assert whole.item() == pytest.approx(0, abs=1e-5)
    assert half.item() > 0.1
    half.backward()
    attention = vlm.model.language_model.layers[1].self_attn
    assert attention.q_proj.weight.grad.abs().sum() > 0
    assert attention.k_proj.weight.grad.abs().sum() > 0
    watch.close()


def test_every_token_of_a_box_looks_at_what_it_is_around(taught):
    _, vocabulary, _ = taught
    box = "<|box_start|>[1,2,3,4]<|box_end|>"
    lesson = Lesson("Which?", f"{box} {box} A. one{TURN_END}", ("left lobe", "stem"), "left lobe")
    asked = [9, 9, 9]
    ids = [*asked, *vocabulary.own(lesson.answer)]
    looks = list(looks_of(lesson, ids, len(asked), vocabulary))
    assert looks[0] == (2, "left lobe")
    numbers = {vocabulary.id(str(n)) for n in range(1, 5)}
    before = {i - 1 for i, token in enumerate(ids) if token in numbers}
    assert before <= {column for column, _ in looks}
    names = [name for column, name in looks if column in before]
    assert names == ["left lobe"] * 4 + ["stem"] * 4
    assert vocabulary.box_close not in [ids[column] for column, _ in looks]


def test_holders_are_the_tokens_over_the_thing(taught):
    _vlm, _vocabulary, rows = taught
    for row in rows:
        pictures = np.flatnonzero(row.shared.is_picture)
        for name in ("left lobe", "right lobe", "enhancing mass"):
            assert set(row.holders[name]) <= set(pictures)
        assert not set(row.holders["left lobe"]) & set(row.holders["enhancing mass"])  # on the other side
    assert "stem" not in rows[0].holders


def test_a_token_shows_its_lesion_or_what_fills_most_of_it(taught):
    _vlm, _vocabulary, rows = taught
    for row, slices in zip(rows, (4, 1), strict=True):
        pictures = np.flatnonzero(row.shared.is_picture)
        side = np.array([32, 32, slices] * 2)
        for name, counted in (("enhancing mass", 4.0), ("left lobe", 1.0)):
            there = np.isin(pictures, row.holders[name])
            assert np.allclose(row.shown[there, :6] * side, row.teacher.boxes[name].numbers, atol=1e-4)
            assert (row.shown[there, 6] == counted).all()
        empty = row.shown[:, 6] == 0
        assert (row.shown[empty] == 0).all()


def test_the_reading_loss_is_the_error_of_the_boxes_in_tokens_that_show_something(taught):
    vlm, vocabulary, rows = taught
    row, _ = row_of(rows[1], 3, vocabulary)
    packed = pack([row])
    watch = Watch(vlm, 1, (0,))
    hidden(vlm, embed(vlm, packed.ids, packed.is_picture, packed.features), packed.places, packed.mask)
    reader = torch.nn.Linear(48, 6)
    torch.nn.init.zeros_(reader.weight)
    torch.nn.init.zeros_(reader.bias)
    counted = rows[1].shown[:, 6]
    expected = (np.abs(rows[1].shown[:, :6]).mean(1) * counted).sum() / counted.sum()
    loss = reading_loss(watch, reader, [rows[1]])
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    torch.nn.init.normal_(reader.weight)
    reading_loss(watch, reader, [rows[1]]).backward()
    early = vlm.model.language_model.layers[0].mlp.up_proj.weight.grad
    assert early is not None
    assert early.abs().sum() > 0
    watch.close()


def test_teaching_lowers_the_looking_loss_and_leaves_the_tower_alone(taught):
    vlm, vocabulary, rows = taught
    freeze_tower(vlm)
    before = {name: p.clone() for name, p in vlm.model.visual.named_parameters()}
    told: list[dict[str, float]] = []
    teach(
        vlm,
        rows[1:],
        rows[:1],
        vocabulary,
        steps=120,
        lr=2e-2,
        rows=(2, 1),
        lessons=(4, 4),
        drills=(20, 4),
        random=np.random.default_rng(1),
        watched={"layer": 1, "heads": (0, 2)},
        report=lambda _, values: told.append(values),
    )
    for kind in ("2d", "3d"):
        first, last = (np.mean([step[f"looking_{kind}"] for step in part]) for part in (told[:5], told[-5:]))
        assert last < 0.7 * first
    assert np.mean([step["loss_drill"] for step in told[-5:]]) < 0.5 * told[0]["loss_drill"]
    assert all(torch.equal(before[name], p) for name, p in vlm.model.visual.named_parameters())


def test_a_drill_has_no_picture_and_its_end_looks_at_the_right_line(taught):
    _, vocabulary, rows = taught
    drills = drill_rows([one[1:] for one in Drills.about(rows[1:]).draw(15, np.random.default_rng(0))], vocabulary)
    assert [len(row.branches) for row, _ in drills] == [12, 3]
    for row, looks in drills:
        assert not row.features
        assert row.weights == [1 / sum(branch.trained) for branch in row.branches]
        assert not any(row.shared.is_picture)
        ids = [*row.shared.ids, *(token for branch in row.branches for token in branch.ids)]
        starts = np.cumsum([len(row.shared), *map(len, row.branches)])
        for start, branch, look in zip(starts[:-1], row.branches, looks, strict=True):
            said = vocabulary.text([i for i, t in zip(branch.ids, branch.trained, strict=True) if t])
            assert vocabulary.text([ids[look.column]]) == "</think>"
            assert look.column == start + branch.trained.index(True) - 1
            assert vocabulary.text([ids[column] for column in look.at]) == f"{said} right lobe"
            assert start <= look.at.min() < look.at.max() < look.column


def test_a_kind_of_drill_is_drawn_as_the_square_root_of_how_many_there_are(taught):
    _, vocabulary, (_, often) = taught
    ((question,),) = often.teacher.families
    seldom = replace(often, teacher=copy(often.teacher))
    seldom.teacher.families = [[replace(question, family="lesion analysis")]]
    drills = Drills.about([often] * 25 + [seldom])
    assert [len(kind) for kind in drills.kinds] == [25, 1]
    drawn = drills.draw(600, np.random.default_rng(0))
    assert 70 < sum(scene is seldom for _, scene, _ in drawn) < 130
    assert Drills.about([often] * 25 + [seldom], drilled=()).kinds == []
    assert Drills.about([]).draw(12, np.random.default_rng(0)) == []
    assert drill_rows([], vocabulary) == []


def test_kinds_drawn_by_need_begin_alike_and_a_missed_one_is_drawn_the_more(taught):
    _, _, (_, often) = taught
    ((question,),) = often.teacher.families
    seldom = replace(often, teacher=copy(often.teacher))
    seldom.teacher.families = [[replace(question, family="lesion analysis")]]
    drills, random = Drills.about([often] * 25 + [seldom], by_need=True), np.random.default_rng(0)

    def share_of_second() -> float:
        return float(np.mean([kind for kind, _, _ in drills.draw(2000, random)]))

    assert share_of_second() == pytest.approx(1 / 2, abs=0.04)
    for _ in range(400):
        drills.marked(0, right=True)
    assert share_of_second() == pytest.approx(1.1 / 1.2, abs=0.03)
    for _ in range(400):
        drills.marked(1, right=True)
    assert share_of_second() == pytest.approx(1 / 2, abs=0.04)
    for _ in range(400):
        drills.marked(0, right=False)
    assert share_of_second() == pytest.approx(0.1 / 1.2, abs=0.03)


def test_a_drill_is_marked_right_where_all_its_tokens_are(taught, monkeypatch):
    vlm, vocabulary, rows = taught
    school = School(vlm, vocabulary, Watch(vlm, layer=1, heads=(0, 2)), torch.nn.Linear(1, 1), 0.0)
    drills, random = Drills.about(rows), np.random.default_rng(0)
    drawn = [(drills, *one) for one in drills.draw(40, random)]
    wrong = {3, 17, 39}  # drills, one token of which is said to be wrong
    marks, lengths = [], []

    def some_wrong(vlm, packed, vocabulary, number_ids):
        losses, right = token_losses(vlm, packed, vocabulary, number_ids)
        first = np.cumsum([0, *lengths])
        right = torch.ones_like(right)
        for k in wrong:
            right[first[k] + k % lengths[k]] = False
        return losses, right

    for _, _, scene, lesson in drawn:
        ((row, _),) = drill_rows([(scene, lesson)], vocabulary)
        lengths.append(sum(row.branches[0].trained))
    monkeypatch.setattr(language, "token_losses", some_wrong)
    monkeypatch.setattr(Drills, "marked", lambda self, kind, right: marks.append((kind, right)))
    school.conclude(drawn)
    school.watch.close()
    assert marks == [(kind, k not in wrong) for k, (_, kind, _, _) in enumerate(drawn)]


def test_every_trained_number_has_one_optimiser_and_only_layers_matrices_have_muon(taught):
    vlm, _, _ = taught
    freeze_tower(vlm)
    named = {name: p for name, p in vlm.named_parameters() if p.requires_grad}
    muon, adam = optimisers(vlm.model.language_model.layers, list(named.values()), 1e-3)
    where = {id(p): part for part in (muon, adam) for group in part.param_groups for p in group["params"]}
    assert len(where) == len(named) == sum(len(g["params"]) for part in (muon, adam) for g in part.param_groups)
    for name, p in named.items():
        assert (where[id(p)] is muon) == (p.ndim == 2 and ".layers." in name)


def test_a_teacher_of_an_empty_scene_has_nothing_to_say(tmp_path):
    scene = corpus(tmp_path).scene(2, CONTRACT)
    scene.labels[:] = 0
    assert Teacher(scene, NAMES, np.random.default_rng(0)).lessons(5) == []
