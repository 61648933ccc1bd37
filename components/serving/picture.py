"""A trace as one still picture: the slice with its boxes, what the model saw, what it said.

For the README and for runs; the page (`page.py`) is for reading.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.serving.display import displayed, telling_slice
from components.serving.story import DISCLAIMER, Look, Story, tell
from model.imaging.frame import LETTERS
from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.question import Question
from model.interface.trace import Trace

WIDTH, SIDE, MARGIN, CROP = 1200, 560, 24, 84
"""Of the whole, of the slice, around things, of a crop: px."""
GROUND, INK, QUIET, RIGHT, WRONG = "#0f1420", "#e6ebf5", "#9aa7bd", "#4ade80", "#ff8f8f"
BRIGHT = ("#ffb020", "#5ac8ff", "#7ee787", "#ff8fc0", "#c9a9ff", "#f2e86d")
"""Box colours in turn, those of trace.css."""


def picture(trace: Trace, prepared: Prepared, question: Question, contract: Contract) -> Image.Image:
    """RGB picture of a trace, WIDTH px wide, as high as its text needs."""
    story = tell(trace, prepared, question, contract)
    column = _Column(MARGIN + SIDE + MARGIN, WIDTH - SIDE - 3 * MARGIN)
    _write(column, story)
    height = max(column.y, MARGIN + SIDE + 30) + 2 * MARGIN
    canvas = Image.new("RGB", (WIDTH, height), GROUND)
    _draw_slice(canvas, prepared, story.looks)
    column.paint(canvas)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, height - MARGIN), DISCLAIMER, QUIET, _font(13), anchor="ls")
    return canvas


@dataclass(frozen=True)
class _Line:
    y: int
    text: str
    colour: str
    size: int


class _Column:
    """Text and pictures one under the other; laid out first, painted once the height is known."""

    def __init__(self, x: int, width: int) -> None:
        self.x, self.width, self.y = x, width, MARGIN
        self.lines: list[_Line] = []
        self.pictures: list[tuple[int, int, Image.Image, str]] = []

    def write(self, text: str, colour: str = INK, size: int = 17) -> None:
        font = _font(size)
        for line in _wrapped(text, font, self.width):
            self.lines.append(_Line(self.y, line, colour, size))
            self.y += round(size * 1.4)

    def show(self, crops: tuple[np.ndarray, ...], colour: str) -> None:
        x = self.x
        for crop in crops:
            scale = CROP / max(crop.shape)
            size = round(crop.shape[1] * scale), round(crop.shape[0] * scale)
            self.pictures.append((x, self.y + 4, Image.fromarray(crop).resize(size, Image.Resampling.NEAREST), colour))
            x += size[0] + 12
        self.y += CROP + 14

    def space(self, height: int = 12) -> None:
        self.y += height

    def paint(self, canvas: Image.Image) -> None:
        draw = ImageDraw.Draw(canvas)
        for line in self.lines:
            draw.text((self.x, line.y), line.text, line.colour, _font(line.size))
        for x, y, crop, colour in self.pictures:
            canvas.paste(crop.convert("RGB"), (x, y))
            draw.rectangle((x - 2, y - 2, x + crop.width + 1, y + crop.height + 1), outline=colour, width=2)


def _write(column: _Column, story: Story) -> None:
    column.write(story.question, size=21)
    column.write(" · ".join(story.facts), QUIET, 14)
    column.space()
    for card in story.cards:
        colour = BRIGHT[card.look.colour - 1] if card.look else INK
        column.write(f"{card.title}. {card.text}" if card.text else card.title, colour)
        if card.look:
            column.write(card.look.numbers, QUIET, 14)
            column.write(card.look.mm, QUIET, 14)
            column.show(card.look.crops, colour)
        if card.flaw:
            column.write(card.flaw, WRONG, 14)
        column.space(6)
    for choice in story.choices:
        notes = [note for note, true in (("chosen", choice.chosen), ("reference", choice.reference)) if true]
        colour = RIGHT if choice.reference else WRONG if choice.chosen and story.correct is False else INK
        column.write(f"{choice.letter}. {choice.text}" + (f"   ({', '.join(notes)})" if notes else ""), colour)
    if not story.choices:
        column.write(f"Answer: {story.answer}")


def _draw_slice(canvas: Image.Image, prepared: Prepared, looks: tuple[Look, ...]) -> None:
    """The slice that shows most boxes, with those boxes and the patient's sides."""
    z = telling_slice(prepared, tuple(look.box for look in looks))
    shown = Image.fromarray(displayed(prepared, z, SIDE))
    left, top = MARGIN + (SIDE - shown.width) // 2, MARGIN
    canvas.paste(shown.convert("RGB"), (left, top))
    draw = ImageDraw.Draw(canvas)
    scale = shown.width / prepared.frame.shape[0], shown.height / prepared.frame.shape[1]
    for look in looks:
        if look.box.low[2] < z + 1 and z < look.box.high[2]:
            corners = _corners(look.box, scale, (left, top))
            x1, y1, x2, y2 = corners
            draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="#000000", width=5)
            draw.rectangle(corners, outline=BRIGHT[look.colour - 1], width=3)
    middle = left + shown.width // 2, top + shown.height // 2
    spots = (
        (left + 8, middle[1]),
        (left + shown.width - 20, middle[1]),
        (middle[0], top + 6),
        (middle[0], top + shown.height - 26),
    )
    for spot, letter in zip(spots, LETTERS[prepared.frame.plane], strict=False):
        draw.text(spot, letter, "#fff3cf", _font(18), stroke_width=2, stroke_fill="#000000")
    if prepared.dimension == 3:
        label = f"slice {z} (0 to {prepared.frame.shape[2] - 1})"
        draw.text((left, top + shown.height + 8), label, QUIET, _font(14))


def _corners(box: Box, scale: tuple[float, float], origin: tuple[int, int]) -> tuple[float, float, float, float]:
    """The outermost pixels of a box on the canvas."""
    (x1, y1, _), (x2, y2, _) = box.low, box.high
    left, top = origin
    return left + x1 * scale[0], top + y1 * scale[1], left + x2 * scale[0] - 1, top + y2 * scale[1] - 1


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: Pillow's own face lacks × and most scripts."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines no wider than `width` px; a word that is too long has a line of its own."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines
