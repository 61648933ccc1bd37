"""Some of a step's answers as one picture: where each pointed, the crops it was shown, what it said and earned.

The study is drawn as the model saw it. No id, name or file is written into the picture.
"""

import textwrap
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from components.training.groups import Group
from model.imaging.crop import crop
from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.prompt import question_text
from model.interface.trace import Trace

WIDTH, SIDE, CROP, GAP, LINE = 900, 160, 62, 8, 16
"""Of the whole, of a slice, of a crop, between things, of a line of text: px."""
CROPS = 8
"""Shown of an answer, at most."""
LETTERS = 88
"""Of a line of text."""
BASIC = ImageFont.Layout.BASIC
"""A letter after the other: shaping fails on half letters."""
COLOURS = ("#ffb020", "#5ac8ff", "#7ee787", "#ff8fc0")
GROUND, INK = "#0f1420", "#e6ebf5"


def completions(groups: list[Group], contract: Contract, answers: int = 3) -> np.ndarray:
    """uint8[h, WIDTH, 3]: of each dimension a group, if possible not a flat one; its best answers and its worst."""
    shown = [
        min((group for group in groups if group.dimension == dimension), key=lambda group: group.flat)
        for dimension in sorted({group.dimension for group in groups})
    ]
    parts = [part for group in shown for part in _group(group, contract, answers)]
    canvas = Image.new("RGB", (WIDTH, sum(part.height + GAP for part in parts)), GROUND)
    y = 0
    for part in parts:
        canvas.paste(part, (0, y))
        y += part.height + GAP
    return np.asarray(canvas)


def _group(group: Group, contract: Contract, answers: int) -> list[Image.Image]:
    rollout = group.rollouts[0]
    places = tuple(rollout.prepared.frame.to_model(region) for region in rollout.question.regions)
    order = sorted(range(len(group.rewards)), key=group.rewards.__getitem__, reverse=True)
    chosen = order if len(order) <= answers else [*order[: answers - 1], order[-1]]
    told = [_answer(group.traces[i], group.rewards[i], rollout.prepared, contract) for i in chosen]
    return [_text(question_text(rollout.question, places), WIDTH), *told]


def _answer(trace: Trace, reward: float, prepared: Prepared, contract: Contract) -> Image.Image:
    boxes = [step.box for step in trace.steps if step.box]
    crops = [(i, picture) for i, box in enumerate(boxes) for picture in crop(prepared, box, contract)][:CROPS]
    left = GAP + SIDE + GAP
    words = _text(f"reward {reward:+.2f}\n{trace.text}", WIDTH - left)
    canvas = Image.new("RGB", (WIDTH, max(SIDE, words.height + (CROP + 2 * GAP) * bool(crops))), GROUND)
    canvas.paste(_slice(prepared, boxes), (GAP, 0))
    canvas.paste(words, (left, 0))
    draw = ImageDraw.Draw(canvas)
    x, y = left + GAP, words.height + GAP
    for i, picture in crops:
        shown = ImageOps.contain(Image.fromarray(picture).convert("RGB"), (CROP, CROP))
        canvas.paste(shown, (x, y))
        draw.rectangle((x - 1, y - 1, x + shown.width, y + shown.height), outline=COLOURS[i % len(COLOURS)])
        x += shown.width + GAP
    return canvas


def _slice(prepared: Prepared, boxes: list[Box]) -> Image.Image:
    """The slice in the middle of the first box, with every box that reaches it."""
    width, height, depth = prepared.frame.shape
    z = min(int(boxes[0].centre[2]), depth - 1) if boxes else depth // 2
    scale = SIDE / max(width, height)
    picture = Image.fromarray(prepared.slices[z]).convert("RGB").resize((round(width * scale), round(height * scale)))
    draw = ImageDraw.Draw(picture)
    for i, box in enumerate(boxes):
        if box.low[2] < z + 1 and z < box.high[2]:
            x1, y1, x2, y2 = (round(n * scale) for n in (*box.low[:2], *box.high[:2]))
            draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=COLOURS[i % len(COLOURS)], width=2)
    return picture


def _text(told: str, width: int) -> Image.Image:
    """What can't be printed is shown as a question mark; an untrained model says such things."""
    lines = [line for paragraph in told.split("\n") for line in textwrap.wrap(paragraph, LETTERS) or [""]]
    picture = Image.new("RGB", (width, LINE * len(lines) + GAP), GROUND)
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        shown = "".join(letter if letter.isprintable() else "?" for letter in line)
        draw.text((GAP, LINE * i + GAP // 2), shown, INK, _font())
    return picture


@lru_cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans Mono, which matplotlib brings: Pillow's own face lacks most signs."""
    import matplotlib

    return ImageFont.truetype(
        Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf", 12, layout_engine=BASIC
    )
