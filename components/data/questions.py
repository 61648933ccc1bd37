"""Six families of questions about one scene, each with a margin that makes its answer beyond doubt.

    structure localisation   which of these boxes (well apart) holds it
    spatial localisation     side, half or third, host structure (at least 70 % of the lesion inside)
    existence verification   a kind of lesion that is plain to see, or not painted at all
    size comparison          the larger of two, by a quarter at least
    spatial relationship     centroids at least 10 mm apart along the axis asked about
    lesion analysis          kind, number, and where it is known whether the lesion is of one tone

Left and right are the patient's. Wording is short and of few words. Most questions are about lesions:
where a structure lies can be guessed without looking, where a lesion lies can't.
"""

import numpy as np

from components.data import judging, locating
from components.data.scene import Scene
from components.data.view import Draft, Maker, View
from model.interface.question import FAMILIES, Question

MAKERS: dict[str, tuple[Maker, ...]] = {
    "structure localisation": (locating.which_box,),
    "spatial localisation": (locating.side, locating.host, locating.half, locating.third),
    "existence verification": (judging.lesion_there, judging.lesion_there, judging.structure_there),
    "size comparison": (judging.larger_twin, judging.larger_than_lesion),
    "spatial relationship": (judging.relation,),
    "lesion analysis": (judging.kind, judging.kind, judging.kind, judging.number),
}
FINE: dict[str, tuple[Maker, ...]] = {
    "existence verification": (judging.tone_there,) * 2,
    "lesion analysis": (judging.tone,) * 3,
}
"""As well, in scenes with a lesion whose tone is known."""


def ask(scene: Scene, n: int, random: np.random.Generator) -> list[Question]:
    """Up to n different questions; families take turns, in an order drawn for the scene."""
    view, made, order = View(scene, random), {}, random.permutation(len(FAMILIES))
    known = any(lesion.toned is not None for lesion in scene.lesions)
    for turn in range(6 * n):
        family = FAMILIES[order[turn % len(FAMILIES)]]
        makers = (*MAKERS[family], *(FINE.get(family, ()) if known else ()))
        draft = next(filter(None, (makers[k](view) for k in random.permutation(len(makers)))), None)
        if draft and draft.text not in made:
            made[draft.text] = _question(draft, family, f"{scene.study}-{len(made)}", scene, random)
        if len(made) == n:
            break
    return list(made.values())


def _question(draft: Draft, family: str, name: str, scene: Scene, random: np.random.Generator) -> Question:
    options = [draft.right, *draft.wrong]
    order = random.permutation(len(options))
    return Question(
        id=name,
        study=scene.study,
        subject=scene.subject,
        split=scene.split,
        dimension=scene.dimension,
        family=family,
        text=draft.text,
        options=tuple(options[k] for k in order),
        answer=int(np.flatnonzero(order == 0)[0]),
        regions=draft.regions,
        contrast=scene.contrast,
        rationale=draft.rationale,
        laterality=draft.laterality,
        fine=draft.fine,
        licence=scene.licence,
        provenance=scene.provenance,
    )
