"""A trace as one self-contained page: slices with their boxes, steps with the crops, the answer.

Nothing is fetched: pictures are data URIs, style and script are inline and named by their hash in the
page's Content-Security-Policy, so that no text in a question or an answer can ever run. The page works
without its script, on the slice that shows most boxes.
"""

import base64
import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from components.serving.display import displayed, proportions, telling_slice
from components.serving.story import DISCLAIMER, Story, tell
from model.imaging.frame import LETTERS
from model.imaging.prepare import Prepared
from model.interface.contract import Contract
from model.interface.question import Question
from model.interface.trace import Trace
from model.interface.writing import write_text

HERE = Path(__file__).parent
SIDE_2D, SIDE_3D = 640, 384
"""Longest side of a slice in the page, px."""
VIEW_BYTES, SEEN_BYTES, CROP_BYTES = 180_000, 45_000, 45_000
"""What the slices for people, the slices as the model saw them, and all crops may take; base64 adds a third."""
COLUMNS = 8
QUALITIES = (90, 80, 70, 55, 40, 25)


@dataclass(frozen=True, eq=False)
class View:
    """Everything the template reads about the picture; sizes in px, boxes in model space."""

    prepared: Prepared
    story: Story
    view: str
    """Data URI of all slices in the body's proportions, `columns` in a row."""
    seen: str
    """The same, as the model saw them."""
    size: tuple[int, int]
    """(columns, rows) of one slice as displayed."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.prepared.frame.shape

    @property
    def columns(self) -> int:
        return min(COLUMNS, self.shape[2])

    @property
    def rows(self) -> int:
        return ceil(self.shape[2] / self.columns)

    @property
    def scale(self) -> str:
        """From model space to the displayed slice."""
        return f"{self.size[0] / self.shape[0]:.6f} {self.size[1] / self.shape[1]:.6f}"

    @cached_property
    def z(self) -> int:
        """The slice shown at first."""
        return telling_slice(self.prepared, tuple(look.box for look in self.story.looks))

    @property
    def letters(self) -> dict[str, str]:
        """Letter by the side of the picture it stands at; none when the frame is unknown."""
        return dict(zip(("left", "right", "top", "bottom"), LETTERS[self.prepared.frame.plane], strict=False))


def write_page(trace: Trace, prepared: Prepared, question: Question, out: Path, contract: Contract) -> Path:
    """Write the page to `out` (an .html path), whole or not at all; returns it."""
    write_text(out, render_page(trace, prepared, question, contract))
    return out


def render_page(trace: Trace, prepared: Prepared, question: Question, contract: Contract) -> str:
    """The page as one string of HTML."""
    story = tell(trace, prepared, question, contract)
    depth = prepared.frame.shape[2]
    side = SIDE_3D if depth > 1 else SIDE_2D
    view = View(
        prepared,
        story,
        view=data_uri(_sheet(np.stack([displayed(prepared, z, side) for z in range(depth)])), VIEW_BYTES),
        seen=data_uri(_sheet(prepared.slices), SEEN_BYTES),
        size=proportions(prepared, side),
    )
    crops = sum(len(look.crops) for look in story.looks)
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["picture"] = lambda crop: data_uri(crop, CROP_BYTES // crops)
    style, script = ((HERE / f"trace.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return environment.get_template("trace.html").render(
        view=view,
        story=story,
        trace=trace,
        disclaimer=DISCLAIMER,
        style=Markup(style),
        script=Markup(script),
        style_hash=inline_hash(style),
        script_hash=inline_hash(script),
    )


def data_uri(picture: np.ndarray, budget: int) -> str:
    """uint8 [h, w] or [h, w, 3] as WebP: lossless where it fits into `budget` bytes, then coarser, then smaller."""
    image = Image.fromarray(picture)
    hopeless = picture.size > 6 * budget  # no slice shrinks that much without loss; trying takes longest
    raw = b"" if hopeless else _webp(image, lossless=True)
    while not raw or len(raw) > budget:
        raw = _lossy(image, budget)
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.BOX)
    return "data:image/webp;base64," + base64.b64encode(raw).decode()


def _lossy(image: Image.Image, budget: int) -> bytes:
    """The finest of QUALITIES that fits, else the coarsest."""
    raw = b""
    for quality in QUALITIES:
        raw = _webp(image, quality=quality)
        if len(raw) <= budget:
            break
    return raw


def _webp(image: Image.Image, **how: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", method=4, **how)
    return out.getvalue()


def _sheet(slices: np.ndarray) -> np.ndarray:
    """All slices in one picture, COLUMNS in a row: uint8 [n, h, w, …] -> [rows h, columns w, …]."""
    n, height, width, *rest = slices.shape
    columns = min(COLUMNS, n)
    padded = np.concatenate([slices, np.zeros((-n % columns, height, width, *rest), np.uint8)])
    tiles = padded.reshape(-1, columns, height, width, *rest).swapaxes(1, 2)
    return tiles.reshape(-1, columns * width, *rest)


def inline_hash(text: str) -> str:
    """As a Content-Security-Policy names an inline block."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
