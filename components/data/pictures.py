"""A sample as a picture: its slice, the teacher's boxes, the question and its options.

Drawn as a model of the default contract sees it: radiological, boxes in model space.
"""

from collections.abc import Iterable
from textwrap import wrap
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from model.imaging.frame import LETTERS
from model.imaging.prepare import Prepared, prepare
from model.imaging.shards import Study
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.prompt import filled, filled_options
from model.interface.question import Question

CELL, PICTURE, TEXT = 340, 300, 108
"""Width of a cell, longest side of its picture, height of its words: px."""
COLUMNS = 4
WIDTH = 50
"""Letters of a line."""
GROUND, INK, QUIET = "#0f1420", "#e6ebf5", "#9aa7bd"
BRIGHT = ("#ffb020", "#5ac8ff", "#7ee787", "#ff8fc0")


def sheet(samples: Iterable[tuple[Study, Question]]) -> Image.Image:
    """Samples in rows of four."""
    cells = [cell(study, question) for study, question in samples]
    rows = -(-len(cells) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * CELL, max(1, rows) * (PICTURE + TEXT + 12)), GROUND)
    for k, one in enumerate(cells):
        canvas.paste(one, (k % COLUMNS * CELL, k // COLUMNS * (PICTURE + TEXT + 12)))
    return canvas


def cell(study: Study, question: Question) -> Image.Image:
    contract = Contract()
    prepared = prepare(study.volume, contract)
    boxes = [prepared.frame.to_model(r.box) for r in question.rationale if r.box]
    z = int(boxes[0].centre[2]) if boxes else prepared.frame.shape[2] // 2
    grey = Image.fromarray(prepared.slices[z])
    scale = PICTURE / max(grey.size)
    grey = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (CELL, PICTURE + TEXT + 12), GROUND)
    canvas.paste(grey.convert("RGB"), (8, 8))
    draw = ImageDraw.Draw(canvas)
    for k, box in enumerate(boxes):
        x1, y1, x2, y2 = (8 + n * scale for n in (*box.low[:2], *box.high[:2]))
        draw.rectangle((x1 - 1, y1 - 1, x2, y2), outline=BRIGHT[k % len(BRIGHT)], width=2)
    _mark_sides(draw, prepared, grey.size)
    where = f", slice {z}" if prepared.dimension == 3 else ""
    draw.text(
        (8, PICTURE + 12), f"{study.contrast}, {prepared.frame.plane}{where}: {question.family}", QUIET, _font(13)
    )
    places = tuple(prepared.frame.to_model(region) for region in question.regions)
    asked = filled(question.text, places, flat=question.dimension == 2)
    told = [line for one in (asked, *_options(question, places)) for line in wrap(one, WIDTH, drop_whitespace=False)]
    draw.multiline_text((8, PICTURE + 30), "\n".join(told), INK, _font(13), spacing=3)
    return canvas


def _options(question: Question, places: tuple[Box, ...]) -> list[str]:
    """A line each, the right one marked; the reply to an open question."""
    if question.reply:
        return [f"> {filled(question.reply, places, flat=question.dimension == 2)}"]
    shown = filled_options(question, places)
    return [f"{'>' if i == question.answer else '  '} {option}" for i, option in enumerate(shown)]


def _mark_sides(draw: ImageDraw.ImageDraw, prepared: Prepared, size: tuple[int, int]) -> None:
    if not LETTERS[prepared.frame.plane]:
        return  # nobody knows them
    left, right, *_ = LETTERS[prepared.frame.plane]
    draw.text((12, 8 + size[1] // 2), left, QUIET, _font(13), anchor="lm")
    draw.text((4 + size[0], 8 + size[1] // 2), right, QUIET, _font(13), anchor="rm")


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
