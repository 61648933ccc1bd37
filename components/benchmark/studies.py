"""The pictures of a set's items, as a checkpoint or a peer is shown them."""

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from components.data.sources.listing import existing
from components.data.vqa.hub import picture
from components.data.vqa.item import Item
from model.imaging.prepare import Prepared, prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.read import read_volume
from model.imaging.volume import MODALITIES, Volume
from model.interface.contract import Contract
from model.interface.errors import BadInput

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"II*\x00": ".tif", b"MM\x00*": ".tif"}
"""How a picture begins -> what a file of it is called."""
PEERS = Contract(patch=14, image_side=1008, volume_side=252, crop_side=28, slices=32, channels="grey")
"""How a volume is shown to others: 32 slices of 252 px, the paper's geometry."""


def volume_of(root: Path, item: Item) -> Volume:
    """Its one study. Raises BadInput where it has several images or can't be read."""
    name, *others = item.images
    if others:
        where = f"{item.source} {item.id}: found {len(item.images)} images, wanted one"
        raise BadInput("several images", where=where, next="ask an endpoint, which is sent them all")
    declared = Declared(item.modality if item.modality in MODALITIES else None)
    if not _is_picture(name):
        return read_volume(existing(root, name), declared)
    raw = picture(root, name)
    ending = next((ending for start, ending in ENDINGS.items() if raw.startswith(start)), ".png")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"picture{ending}"
        file.write_bytes(raw)
        return read_volume(file, declared)


def prepared_of(root: Path, item: Item, contract: Contract) -> Prepared:
    return prepare(volume_of(root, item), contract)


def pngs_of(root: Path, item: Item) -> list[bytes]:
    """Every image of an item as PNG: pictures at their own size, volumes as slices under `PEERS`."""
    found = []
    for name in item.images:
        if _is_picture(name):
            found.append(_png(np.asarray(Image.open(io.BytesIO(picture(root, name))).convert("RGB"))))
        else:
            study = prepare(read_volume(existing(root, name), Declared()), PEERS)
            found += [_png(shown) for shown in study.slices]
    return found


def _is_picture(name: str) -> bool:
    """Inside a table or a file of its own, whose name may say another kind than its bytes."""
    return "#" in name or Path(name).suffix.lower() in PICTURES


def _png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()
