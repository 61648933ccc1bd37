import base64
import hashlib
import io
import re
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from components.serving.page import data_uri, render_page, write_page
from components.serving.story import DISCLAIMER
from model.imaging.prepare import Prepared
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.trace import Answer, Step
from tests.components.serving.told import blob, image, question, study, trace
from tests.model.imaging.phantom import BLOB, CONTRACT, head

HEAD, IMAGE = study(), image()
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}</style>'


class Page(HTMLParser):
    """All tags of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            at for tag, at in self.tags if tag == name and all(wanted[k] in (at.get(k) or "").split() for k in wanted)
        ]


@lru_cache
def page_of(prepared: Prepared = HEAD, *looks: tuple[str, Box]) -> Page:
    looks = looks or (("It is at ", blob(prepared)),)
    return Page(render_page(trace(prepared, *looks), prepared, question(prepared.dimension), CONTRACT))


def test_boxes_stand_in_the_page_as_the_model_said_them():
    boxes = blob(HEAD), Box.of((3, 4, 5, 21, 22, 23))
    page = page_of(HEAD, ("One is at ", boxes[0]), ("another at ", boxes[1]))
    for mark, line, box in zip(
        page.all("g", **{"class": "mark"}), page.all("rect", **{"class": "line"}), boxes, strict=True
    ):
        assert mark["data-box"] == "[" + ",".join(f"{n:g}" for n in box.numbers) + "]"
        assert (mark["data-z1"], mark["data-z2"]) == (f"{box.low[2]:g}", f"{box.high[2]:g}")
        drawn = [float(line[k] or "") for k in ("x", "y", "width", "height")]
        assert drawn == [*box.low[:2], *box.size[:2]]
    halos = page.all("rect", **{"class": "halo"})
    for halo, line in zip(halos, page.all("rect", **{"class": "line"}), strict=True):
        assert halo | {"class": "line"} == line


def test_nothing_is_fetched_from_anywhere():
    page = page_of()
    assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?(https?:|//|file:)", page.rawdata)
    for name in ("src", "href"):
        assert all((at[name] or "").startswith("data:") for _, at in page.tags if name in at)


def test_the_policy_names_the_only_style_and_script():
    prepared = study()
    html = render_page(trace(prepared), prepared, question(), CONTRACT)
    [policy] = Page(html).all("meta", **{"http-equiv": "Content-Security-Policy"})
    for tag in ("style", "script"):
        [body] = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in (policy["content"] or "")
    assert "default-src 'none'" in (policy["content"] or "")


def test_no_text_can_run():
    """Question, options, the model's words, flaws, provenance and warnings are all foreign text."""
    prepared = study(replace(head(), warnings=(EVIL,)))
    said = trace(prepared, (EVIL, blob(prepared)), answer=EVIL)
    said = replace(said, steps=(*said.steps, Step(EVIL)), answer=replace(said.answer, text=EVIL), versions={EVIL: EVIL})
    plain = Page(render_page(trace(prepared), prepared, question(), CONTRACT))
    asked = question(text=EVIL, options=(EVIL, EVIL + "2"), licence=EVIL, provenance=EVIL, contrast=EVIL)
    html = render_page(said, prepared, asked, CONTRACT)
    page = Page(html)
    for tag in ("script", "style"):
        assert len(page.all(tag)) == len(plain.all(tag)) == 1
    assert not [at for _, at in page.tags if any(name.startswith("on") for name in at)]
    assert not [at for at in page.all("img") if not (at["src"] or "").startswith("data:image/webp;base64,")]
    assert "<script>alert" not in html
    assert EVIL in page.text, "it is shown, as text"


def test_the_page_is_small_and_whole(tmp_path):
    prepared = study()
    path = write_page(
        trace(prepared, ("At ", blob(prepared))), prepared, question(), tmp_path / "new" / "t.html", CONTRACT
    )
    assert path.stat().st_size <= 400_000
    assert path.read_text().rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["t.html"]


def test_even_noise_fits_the_budget():
    noise = np.random.default_rng(0).uniform(0, 300, (60, 60, 40)).astype(np.float32)
    prepared = study(Volume(noise, np.eye(4), "MR", True, "axial"))
    looks = [(f"{i} at ", Box.of((i, i, i, i + 20, i + 20, i + 8))) for i in range(6)]
    html = render_page(trace(prepared, *looks), prepared, question(), CONTRACT)
    assert len(html.encode()) <= 400_000


def test_same_trace_same_bytes():
    prepared = image()
    said = trace(prepared, ("At ", blob(prepared)))
    assert render_page(said, prepared, question(2), CONTRACT) == render_page(said, prepared, question(2), CONTRACT)


def test_sides_are_lettered_only_when_they_are_known():
    letters = page_of().all("text", **{"class": "side"})
    assert len(letters) == 4
    volume = head()
    unframed = study(Volume(volume.voxels, volume.affine, "", False, "image"))
    page = page_of(unframed, ("At ", unframed.frame.to_model(BLOB)))
    assert not page.all("text", **{"class": "side"})
    assert "left and right unknown" in page.text


def test_the_reader_is_told_what_this_is_not():
    assert DISCLAIMER in page_of().text
    assert DISCLAIMER in page_of(IMAGE).text


def test_an_image_has_no_slices_to_leaf_through():
    assert not page_of(IMAGE).all("input", type="range")
    assert page_of().all("input", type="range")


def test_crops_are_shown_one_a_slice_with_words_for_who_cannot_see():
    pictures = page_of().all("img")
    assert len(pictures) == CONTRACT.crop_slices
    assert all("slice" in (at["alt"] or "") for at in pictures)


def test_the_first_slice_shows_a_box_even_without_a_script():
    page = page_of()
    [mark] = page.all("g", **{"class": "mark"})
    assert "hidden" not in mark
    [view] = page.all("svg", id="view")
    row, column = divmod(int(view["data-z"] or ""), int(view["data-columns"] or ""))
    for sheet in page.all("image"):
        assert (sheet["x"], sheet["y"]) == (str(-column * 64), str(-row * 64))
    assert blob(HEAD).low[2] <= int(view["data-z"] or "") < blob(HEAD).high[2]


@pytest.mark.parametrize("text", ["", "no think at all", "<think>open", "<|box_start|>[nan,1,2,3]<|box_end|>"])
def test_any_text_gives_a_page(text):
    prepared = image()
    said = replace(trace(prepared), steps=(Step(text),), answer=Answer(None, text, (), ()))
    assert "</html>" in render_page(said, prepared, question(2), CONTRACT)


def test_a_picture_is_lossless_while_it_fits():
    ramp = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)
    raw = base64.b64decode(data_uri(ramp, 20_000).split(",")[1])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(raw)).convert("L")), ramp)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)
    assert len(base64.b64decode(data_uri(noise, 5_000).split(",")[1])) <= 5_000
