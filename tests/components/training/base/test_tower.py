"""The dense lessons of the tower: what is a target, what is left out, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from components.training.base.scenes import Corpus
from components.training.base.tower import Heads, dense_loss, optimisers, pixels_of, pool_of, teach_tower
from model.vlm.backbone import TinySize, tiny
from model.vlm.tokenizer import train
from tests.components.training.base.small import CONTRACT, FIRST_LESION, NAMES, corpus

SIZE = TinySize(
    hidden=48, layers=1, heads=4, kv_heads=2, mlp=64, tower_hidden=32, tower_layers=2, tower_heads=2, tower_mlp=48
)
ASKED = torch.tensor([name != "background" for name in NAMES])


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Corpus:
    return corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def visual():
    return tiny(CONTRACT, train(["Where is the left lobe?"] * 9, 700), SIZE, 0).model.visual


def test_a_masks_pixels_lie_where_the_towers_patches_have_them():
    mask = np.zeros((1, 32, 48), bool)
    y, x, p, m = 21, 42, CONTRACT.patch, CONTRACT.merge
    mask[0, y, x] = True
    block = (y // (p * m)) * (48 // (p * m)) + x // (p * m)
    patch = block * m * m + (y // p % m) * m + x // p % m
    found = pixels_of(mask, CONTRACT)
    assert found.shape == (1, 24, p * p)
    assert found.nonzero().tolist() == [[0, patch, (y % p) * p + x % p]]


def test_only_lesions_that_are_plain_to_see_make_a_picture_ill(told):
    pool = pool_of([told.scene(1, CONTRACT), told.scene(2, CONTRACT)], len(NAMES))
    assert pool.ill.tolist() == [0]
    taught = pool.taught.copy()
    taught[:, FIRST_LESION] = False
    assert not len(replace(pool, taught=taught).ill)


def test_a_lesion_in_doubt_is_taught_neither_as_there_nor_as_absent(told, visual):
    pool = pool_of([told.scene(1, CONTRACT)], len(NAMES))
    everywhere = replace(pool, cores=np.full_like(pool.cores, FIRST_LESION), taught=pool.taught.copy())
    heads = Heads(SIZE.tower_hidden, SIZE.hidden, len(NAMES), CONTRACT.patch)
    plain = dense_loss(visual, heads, everywhere, CONTRACT, FIRST_LESION, ASKED)
    everywhere.taught[:, FIRST_LESION] = False
    doubted = dense_loss(visual, heads, everywhere, CONTRACT, FIRST_LESION, ASKED)
    for name in ("pixels", "lesion", "around"):
        assert plain[name] > 0
        assert doubted[name] == 0


def test_every_trained_number_has_one_optimiser_and_only_the_towers_matrices_have_muon(visual):
    heads = Heads(SIZE.tower_hidden, SIZE.hidden, len(NAMES), CONTRACT.patch)
    muon, adam = ([p for group in part.param_groups for p in group["params"]] for part in optimisers(visual, heads, 1))
    assert sorted(map(id, [*muon, *adam])) == sorted(map(id, [*visual.parameters(), *heads.parameters()]))
    assert {id(p) for p in muon} == {id(p) for p in visual.parameters() if p.ndim == 2}


def test_teaching_lowers_every_loss_of_pictures_and_of_volumes(told, visual):
    pools = [(pool_of([told.scene(i, CONTRACT)], len(NAMES)), n) for i, n in ((0, 6), (1, 3))]
    seen = []
    teach_tower(
        visual,
        pools,
        NAMES,
        FIRST_LESION,
        CONTRACT,
        steps=80,
        lr=5e-3,
        random=np.random.default_rng(0),
        report=lambda _, values: seen.append(values),
    )
    assert {name.split("_")[0] for name in seen[0]} == {
        "patch", "token", "lesion", "pixels", "box", "cuboid", "around"
    }  # fmt: skip
    for name in seen[0]:
        first, last = (np.mean([values[name] for values in part]) for part in (seen[:5], seen[-20:]))
        assert last < 0.9 * first, name
