"""What was understood of a file, before anybody asks about it: words, and a sheet of what a model would see."""

import base64
import io
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes
from PIL import Image, ImageDraw, ImageFont

from components.serving.story import DISCLAIMER
from model.imaging.frame import LETTERS, SHOWN
from model.imaging.prepare import Prepared, prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.dropped import dropped_fields
from model.imaging.reading.files import kind_of
from model.imaging.reading.read import read_volume
from model.interface.boxes import Box
from model.interface.contract import WINDOWS, Contract
from model.interface.errors import BadInput
from model.interface.writing import replacing, write_text

COLUMNS, GAP, CAPTION = 8, 6, 16
"""Of the sheet: pictures in a row, px between them, px of the line under each."""
LEAST_SIDE = 128
"""Smaller slices are enlarged, whole times, to about this: px."""
GROUND, INK, LETTER = "#0f1420", "#9aa7bd", "#ffb020"


@dataclass(frozen=True)
class Finding:
    kind: str
    """How the file is written."""
    study: str
    """SHA-256 of the voxels and the affine: its only name anywhere else."""
    dimension: int
    modality: str
    colour: bool
    shape: tuple[int, int, int]
    """Along the file's own axes."""
    axes: str
    """Where the file's axes point, as in nibabel ("LPS": left, posterior, superior); "" where nobody knows."""
    spacing_mm: tuple[float, float, float] | None
    """Along the file's own axes."""
    values: tuple[float, float]
    """Least and largest, in Hounsfield units of a CT."""
    windows: tuple[str, ...]
    shown: str
    """What the model sees."""
    warnings: tuple[str, ...]
    dropped: tuple[str, ...]
    """Names of header fields that were there and are kept nowhere."""

    def lines(self) -> list[str]:
        size = " x ".join(map(str, self.shape))
        unit = " HU" if self.modality == "CT" else ""
        spacing = "unknown" if self.spacing_mm is None else " x ".join(f"{n:.4g}" for n in self.spacing_mm) + " mm"
        return [
            f"kind: {self.kind}, {self.dimension}D, {self.modality or 'modality unknown'}"
            + (", colour" if self.colour else ""),
            f"study: sha256 {self.study[:12]}",
            f"voxels: {size}, {self.values[0]:g} to {self.values[1]:g}{unit}",
            f"axes: {self.axes or 'left and right unknown'}",
            f"spacing: {spacing}",
            *(f"window: {window}" for window in self.windows),
            f"shown: {self.shown}",
            *(f"warning: {warning}" for warning in self.warnings),
            f"dropped: {', '.join(self.dropped) or 'nothing'}",
            DISCLAIMER,
        ]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def inspected(file: Path, declared: Declared, contract: Contract) -> tuple[Finding, Prepared]:
    """Read and prepare a file as for a question; raises BadInput."""
    kind = kind_of(file)
    prepared = prepare(read_volume(file, declared), contract)
    volume = prepared.volume
    affine = volume.in_file.affine(volume.affine)
    width, height, depth = prepared.frame.shape
    slices = f"{depth} {prepared.frame.plane} slices of" if depth > 1 else f"one {prepared.frame.plane} picture of"
    finding = Finding(
        kind=kind.lstrip(".") if kind != "DICOM" else kind,
        study=volume.digest,
        dimension=volume.dimension,
        modality=volume.modality,
        colour=volume.is_colour,
        shape=volume.in_file.shape,
        axes="".join(map(str, aff2axcodes(affine))) if volume.frame_known else "",
        spacing_mm=tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist()) if volume.spacing_known else None,
        values=(float(volume.voxels.min()), float(volume.voxels.max())),
        windows=tuple(_windows(prepared, contract)),
        shown=f"{slices} {width} x {height} px",
        warnings=volume.warnings,
        dropped=tuple(dropped_fields(file, kind)),
    )
    return finding, prepared


def _windows(prepared: Prepared, contract: Contract) -> list[str]:
    ct = prepared.volume.modality == "CT"
    names = {pair: name for name, pair in WINDOWS.items()}
    told = []
    for low, high in prepared.windows:
        level, width = (low + high) / 2, high - low
        name = f"{names[level, width]}, " if ct and (level, width) in names else ""
        source = "fixed" if ct else f"percentiles {contract.mr_percentiles[0]:g} to {contract.mr_percentiles[1]:g}"
        told.append(f"{low:g} to {high:g} ({name}level {level:g}, width {width:g}; {source})")
    return told


def sheet(prepared: Prepared) -> Image.Image:
    """Every slice as the model will see it, its index under it, sides on the first of each row."""
    depth, height, width = prepared.slices.shape[:3]
    times = max(1, round(LEAST_SIDE / max(width, height)))
    columns = min(COLUMNS, depth)
    cell_w, cell_h = width * times + GAP, height * times + GAP + CAPTION
    canvas = Image.new("RGB", (columns * cell_w + GAP, -(-depth // columns) * cell_h + GAP), GROUND)
    draw = ImageDraw.Draw(canvas)
    for z, picture in enumerate(prepared.slices):
        x, y = GAP + z % columns * cell_w, GAP + z // columns * cell_h
        image = (
            Image.fromarray(picture).convert("RGB").resize((width * times, height * times), Image.Resampling.NEAREST)
        )
        canvas.paste(image, (x, y))
        draw.text((x + image.width / 2, y + image.height + CAPTION / 2), _caption(prepared, z), INK, _font(11), "mm")
        if z % columns == 0:
            _letters(draw, prepared, (x, y, image.width, image.height))
    return canvas


def _caption(prepared: Prepared, z: int) -> str:
    """The slice's index, and where it lies along the axis it is counted on."""
    if prepared.frame.shape[2] == 1:
        return prepared.frame.plane
    if prepared.frame.affine is None:
        return str(z)
    axis = SHOWN[prepared.frame.plane][0][2]
    width, height, _ = prepared.frame.shape
    mm = prepared.frame.to_mm(Box((0, 0, z), (width, height, z + 1)))
    assert mm is not None
    towards = {0: "LR", 1: "PA", 2: "IS"}[axis]
    middle = (mm[axis] + mm[axis + 3]) / 2
    return f"{z}  {towards[int(middle > 0)]} {abs(middle):.0f} mm"


def _letters(draw: ImageDraw.ImageDraw, prepared: Prepared, place: tuple[int, int, int, int]) -> None:
    x, y, width, height = place
    letters = LETTERS[prepared.frame.plane]
    middle_x, middle_y = x + width / 2, y + height / 2
    spots = ((x + 8, middle_y), (x + width - 8, middle_y), (middle_x, y + 8), (middle_x, y + height - 8))
    for letter, spot in zip(letters, spots, strict=False):
        draw.text(spot, letter, LETTER, _font(14), "mm", stroke_width=2, stroke_fill="#000000")


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def write_sheet(finding: Finding, prepared: Prepared, out: Path) -> Path:
    """Write the sheet as .png, or with the words as one .html page; raises BadInput."""
    picture = sheet(prepared)
    match out.suffix.lower():
        case ".png":
            with replacing(out) as part:
                picture.save(part, format="PNG", optimize=True)
        case ".html":
            write_text(out, _page(finding, picture))
        case other:
            raise BadInput(
                "a sheet can't be written like this",
                where=f"{out.name}, name: found {other or 'no suffix'}, wanted .png or .html",
                next="give the file one of these endings",
            )
    return out


def _page(finding: Finding, picture: Image.Image) -> str:
    raw = io.BytesIO()
    picture.save(raw, format="PNG", optimize=True)
    encoded = base64.b64encode(raw.getvalue()).decode()
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
        for name, text in (line.split(": ", 1) for line in finding.lines()[:-1])
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src '
        "'unsafe-inline'\"><title>What was understood</title><style>"
        f"body{{background:{GROUND};color:#e6ebf5;font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1140px;"
        "padding:0 1rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}"
        f"dt{{color:{INK}}}dd{{margin:0;overflow-wrap:anywhere}}img{{width:100%;image-rendering:pixelated}}</style>"
        f"<p>{escape(DISCLAIMER)}</p><h1>What was understood</h1><dl>{rows}</dl>"
        f'<img alt="The slices as the model sees them" src="data:image/png;base64,{encoded}">'
        "</html>\n"
    )
