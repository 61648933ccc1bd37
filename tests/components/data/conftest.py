"""Two subjects and a handful of painted heads, shared by the tests of this folder."""

from dataclasses import dataclass

import numpy as np
import pytest

from components.data import contrasts, studies
from components.data.anatomy import ATLAS, Subject, subjects
from components.data.heads import Grid
from components.data.questions import ask
from components.data.scene import Scene
from components.data.studies import Head
from model.imaging.shards import Study
from model.interface.question import Question

GRID = Grid((80, 80, 56), studies.FIELD_MM)


@dataclass(frozen=True, eq=False)
class Asked:
    head: Head
    study: Study
    scene: Scene
    questions: list[Question]


@pytest.fixture(scope="session")
def anatomy() -> dict[str, Subject]:
    return subjects((ATLAS, "9861"), workers=2)


def head(anatomy: dict[str, Subject], k: int) -> Head:
    random = np.random.default_rng([11, k])
    subject = anatomy[(ATLAS, "9861")[k % 2]]
    return studies.make_head(random, f"train-{k:03d}", "train", subject, contrasts.TRAINED, GRID)


@pytest.fixture(scope="session")
def made(anatomy: dict[str, Subject]) -> list[Head]:
    return [head(anatomy, k) for k in range(12)]


@pytest.fixture(scope="session")
def asked(made: list[Head]) -> list[Asked]:
    """A volume and four slices of each head, with questions about each."""
    found = []
    for k, some in enumerate(made):
        random = np.random.default_rng([12, k])
        for study, scene in [studies.whole(some), *studies.slices(random, some, 4)]:
            found.append(Asked(some, study, scene, ask(scene, 12 if scene.dimension == 2 else 30, random)))
    return found
