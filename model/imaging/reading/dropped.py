"""Names of the header fields that a file has and we don't keep: what `urm inspect` tells about privacy.

Names only. The values are never read into anything that lasts.
"""

import warnings
from pathlib import Path

from model.imaging.reading.sources import sources_of

KNOWN = {"dpi", "gamma", "jfif", "exif", "icc_profile", "transparency", "comment", "xmp", "compression", "photoshop"}
"""Keys of Pillow's own for what a picture carries along."""
FREE_TEXT = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
"""Fields of a NIfTI header that hold text."""


def dropped_fields(path: Path, kind: str) -> list[str]:
    """Sorted. kind: of `files.kind_of`; the file has been read before, so it is whole."""
    match kind:
        case "DICOM":
            return _of_dicom(path)
        case ".nii" | ".nii.gz":
            return _of_nifti(path)
        case ".png" | ".jpg" | ".jpeg" | ".webp" | ".tif" | ".tiff":
            return _of_picture(path)
        case _:
            return []


def _of_nifti(path: Path) -> list[str]:
    from model.imaging.reading.nifti import header_of

    header, extended = header_of(path)
    texts = [name for name in FREE_TEXT if name in header and bytes(header[name]).strip(b"\0 ")]
    return sorted(texts + ["extensions"] * extended)


def _of_dicom(path: Path) -> list[str]:
    """Of the first DICOM file; private elements are counted."""
    from pydicom.datadict import keyword_for_tag

    from model.imaging.reading.dicom_header import TAGS, read_until

    for source in sources_of(path):
        with source.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if stream.read(132)[128:] != b"DICM":
                continue
            stream.seek(0)
            tags = list(read_until(path, stream, behind_pixels=False).keys())
        names = {keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})" for tag in tags if not tag.is_private}
        private = sum(tag.is_private for tag in tags)
        return sorted(names - set(TAGS)) + ([f"{private} private elements"] if private else [])
    return []


def _of_picture(path: Path) -> list[str]:
    from PIL import Image
    from PIL.ExifTags import TAGS

    with Image.open(path) as image, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exif = [f"EXIF {TAGS.get(tag, tag)}" for tag in image.getexif()]
        known = {str(key) for key in image.info} & KNOWN
        text = len(image.info) - len(known)
        return sorted([*known, *exif]) + ([f"{text} other fields"] if text else [])  # a PNG's own keys may be names
