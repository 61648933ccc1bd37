"""What an audit does to a study or a question before it is asked: each intervention leaves everything else as it was.

A changed study keeps the frame and the window of the original, so that nothing but what is meant changes on the screen.
An intervention that makes no sense of a question gives None, and the question isn't counted there.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor

import numpy as np

from model.imaging.crop import elsewhere
from model.imaging.prepare import Prepared, blank, render
from model.imaging.volume import Volume
from model.interface.boxes import Box, iou
from model.interface.question import Question

SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
OFFERED = re.compile(r"\b(?:left or right|right or left)\b", re.IGNORECASE)
"""Both sides named as answers, which names neither."""
PLACES = 32
"""Places tried for a mask elsewhere."""


def reshown(prepared: Prepared, volume: Volume) -> Prepared:
    """Other voxels of the same grid through the same frame and window."""
    width, height, n = prepared.frame.shape
    boxes = [Box((0, 0, z), (width, height, z + 1)) for z in range(n)]
    slices = [render(volume, prepared.frame, prepared.windows, box, (width, height)) for box in boxes]
    return replace(prepared, slices=np.stack(slices), volume=volume)


def unseen(prepared: Prepared) -> Prepared:
    """No pictures at all, and black crops: the text alone."""
    return replace(blank(prepared), slices=prepared.slices[:0])


def mirrored(prepared: Prepared) -> Prepared | None:
    """The patient's left where the right was; None where left and right are not shown or not known."""
    volume = prepared.volume
    if not volume.frame_known or volume.shape[0] == 1:
        return None
    return reshown(prepared, replace(volume, voxels=volume.voxels[::-1]))


def exchanged(
    prepared: Sequence[Prepared], groups: Sequence[str], random: np.random.Generator
) -> list[Prepared | None]:
    """For each study another head's picture of the same grid, in the study's own frame; None where there is none.

    All questions about a study get the same other one.
    """
    studies = list({id(study): (study, group) for study, group in zip(prepared, groups, strict=True)}.values())
    found: dict[int, Prepared | None] = {}
    for study, group in studies:
        others = [other for other, head in studies if head != group and _grid(other) == _grid(study)]
        other = others[random.integers(len(others))] if others else None
        found[id(study)] = replace(other, frame=study.frame) if other else None
    return [found[id(study)] for study in prepared]


def greyed(prepared: Prepared, boxes: Sequence[Box]) -> Prepared:
    """The middle of the window inside these boxes. boxes: source voxels."""
    volume = prepared.volume
    voxels = volume.voxels.copy()
    grey = sum(prepared.windows[0]) / 2 if prepared.windows else 127
    for box in boxes:
        voxels[_inside(box)] = grey
    return reshown(prepared, replace(volume, voxels=voxels))


def evidence(question: Question) -> list[Box]:
    """What the rationale points at, source voxels."""
    return [remark.box for remark in question.rationale if remark.box]


def off_evidence(prepared: Prepared, boxes: Sequence[Box], random: np.random.Generator) -> list[Box] | None:
    """As many boxes of the same sizes that meet none of these, as far inside the body as can be found.

    None where a box leaves no room for another.
    """
    volume, found = prepared.volume, []
    air = prepared.windows[0][0] if prepared.windows else 0
    for box in boxes:
        tried = [elsewhere(box, volume.shape, random) for _ in range(PLACES)]
        free = [place for place in tried if not any(iou(place, other) for other in boxes)]
        if not free:
            return None
        found.append(max(free, key=lambda place: float((volume.voxels[_inside(place)] > air).mean())))
    return found


def permuted(question: Question, random: np.random.Generator) -> tuple[Question, list[int]] | None:
    """Options in another order, and the old place of each; None of an open question."""
    n = len(question.options)
    if n < 2:
        return None
    order = random.permutation(n)
    while (order == np.arange(n)).all():
        order = random.permutation(n)
    answer = None if question.answer is None else int(np.flatnonzero(order == question.answer)[0])
    return replace(question, options=tuple(question.options[k] for k in order), answer=answer), order.tolist()


def other_side(question: Question) -> int | None:
    """The option that is right once the study is mirrored, where another one is; None of all other questions.

    A question that names a side itself means another thing in a mirror, and so does one that speaks of regions.
    """
    if question.answer is None or question.regions or SIDE.search(OFFERED.sub("", question.text)):
        return None
    right = question.options[question.answer]
    swapped = SIDE.sub(lambda found: "right" if found[0].lower() == "left" else "left", right)
    return question.options.index(swapped) if swapped != right and swapped in question.options else None


def _grid(prepared: Prepared) -> tuple:
    return prepared.frame.source, prepared.frame.shape, prepared.frame.plane


def _inside(box: Box) -> tuple[slice, ...]:
    return tuple(slice(floor(low), ceil(high)) for low, high in zip(box.low, box.high, strict=True))
