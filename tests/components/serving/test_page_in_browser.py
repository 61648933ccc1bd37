"""The page in a real browser, spoken to over its own debugging protocol; skipped where there is none."""

import base64
import io
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from components.serving.page import write_page
from model.interface.boxes import Box
from tests.components.serving.told import blob, image, question, study, trace
from tests.model.imaging.phantom import CONTRACT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-sync")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class Tab:
    """One tab; what it complained about and what it asked for is kept."""

    def __init__(self, socket: Connection) -> None:
        self.socket, self.numbers, self.events = socket, count(1), []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (told := json.loads(self.socket.recv(timeout=30))).get("id") != number:
            self.events.append(told)
        return told["result"]

    def value(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, path: Path, width: int = 1400, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Page.navigate", url=path.as_uri())
        until = time.monotonic() + 20
        while not self.value(f"location.href === {path.as_uri()!r} && document.documentElement.dataset.ready === ''"):
            assert time.monotonic() < until, "the page's script did not come to its end"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def shown(self) -> list[str]:
        """The boxes drawn on the slice now."""
        return self.value("[...document.querySelectorAll('.mark:not([hidden])')].map((m) => m.dataset.box)")

    @property
    def complaints(self) -> list[dict[str, Any]]:
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event for event in self.events if event["method"] in kinds]

    @property
    def asked_for(self) -> set[str]:
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return {event["params"]["request"]["url"].split(":")[0] for event in sent}


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[Tab]:
    home = tmp_path_factory.mktemp("chromium")
    flags = [f"--{flag}" for flag in FLAGS] + ["--remote-debugging-port=0", f"--user-data-dir={home}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([str(CHROMIUM), *flags, "about:blank"], stdout=quiet, stderr=quiet) as browser:
        try:
            port = _port(home / "DevToolsActivePort")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                [url] = [found["webSocketDebuggerUrl"] for found in json.load(answer) if found["type"] == "page"]
            with connect(url, max_size=1 << 26) as socket:
                yield Tab(socket)
        finally:
            browser.terminate()


def _port(file: Path) -> str:
    until = time.monotonic() + 30
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < until, "Chromium did not start"
        time.sleep(0.05)
    return file.read_text().split()[0]


@pytest.fixture(scope="module")
def volume_page(tmp_path_factory) -> Path:
    prepared = study()
    looks = (("The block is at ", blob(prepared)), (". Below it is ", Box.of((10, 40, 2, 50, 60, 7))))
    said = trace(prepared, *looks)
    evil = f"{'long' * 60} "
    evil += "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
    return write_page(said, prepared, question(text=evil), tmp_path_factory.mktemp("pages") / "volume.html", CONTRACT)


@pytest.fixture(scope="module")
def image_page(tmp_path_factory) -> Path:
    prepared = image()
    said = trace(prepared, ("It is at ", blob(prepared)))
    return write_page(said, prepared, question(2), tmp_path_factory.mktemp("pages") / "image.html", CONTRACT)


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_nothing_sticks_out_is_fetched_or_complains(tab, volume_page, image_page, width):
    for page in (volume_page, image_page):
        tab.open(page, width)
        assert tab.value("document.documentElement.scrollWidth - innerWidth") <= 0
    assert not tab.complaints
    assert tab.asked_for <= {"file", "data"}
    assert tab.value("document.title") != "owned"


def test_keys_lead_through_slices_steps_and_boxes(tab, volume_page):
    tab.open(volume_page)
    first, second = tab.value("[...document.querySelectorAll('.mark')].map((m) => m.dataset.box)")
    assert tab.shown() == [first]
    tab.press("ArrowDown")
    assert tab.shown() == [second]
    assert tab.value("document.querySelector('.mark.on').dataset.box") == second
    tab.press("b")
    assert tab.shown() == []
    tab.press("b", "ArrowUp")
    assert tab.shown() == [first]
    tab.press(*["ArrowLeft"] * 40)
    assert tab.value("document.querySelector('#slice').value") == "0"
    assert tab.shown() == []


def test_a_box_is_drawn_on_its_slices_and_on_no_other(tab, volume_page):
    tab.open(volume_page)
    first, second = tab.value("[...document.querySelectorAll('.mark')].map((m) => m.dataset.box)")
    tab.press(*["ArrowLeft"] * 40)
    drawn = []
    for _ in range(32):
        drawn.append(tab.shown())
        tab.press("ArrowRight")
    low, high = blob(study()).low[2], blob(study()).high[2]
    assert [first in boxes for boxes in drawn] == [low <= z < high for z in range(32)]
    assert [second in boxes for boxes in drawn] == [2 <= z < 7 for z in range(32)]


def test_the_models_own_pixels_can_be_shown(tab, volume_page):
    tab.open(volume_page)
    sheets = "[...document.querySelectorAll('.sheet:not([hidden])')].map((s) => s.classList[1])"
    assert tab.value(sheets) == ["body"]
    tab.press("m")
    assert tab.value(sheets) == ["seen"]


@pytest.mark.parametrize("page", ["volume_page", "image_page"])
def test_the_bright_block_lies_in_the_drawn_box(tab, page, request):
    """In the pixels of a screenshot, not in the page's own numbers."""
    tab.open(request.getfixturevalue(page))
    tab.value("document.querySelectorAll('.side').forEach((letter) => letter.remove())")
    corners = "(({left, top, right, bottom}) => [left, top, right, bottom])"
    view, box = (
        tab.value(f"{corners}(document.querySelector('{name}').getBoundingClientRect())")
        for name in ("#view", ".mark .line")
    )
    clip = {"x": view[0], "y": view[1], "width": view[2] - view[0], "height": view[3] - view[1], "scale": 1}
    raw = base64.b64decode(tab.call("Page.captureScreenshot", format="png", clip=clip)["data"])
    pixels = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")).astype(int)
    rows, columns = np.nonzero((pixels.min(axis=2) > 200) & (np.ptp(pixels, axis=2) < 8))
    x, y = columns + view[0], rows + view[1]
    inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    assert inside.mean() > 0.9
    assert inside.sum() > 0.6 * (box[2] - box[0]) * (box[3] - box[1])


def test_a_slice_changes_within_50_ms(tab, volume_page):
    """The fastest of ten: on a busy machine the others measure the machine."""
    tab.open(volume_page)
    fastest = tab.value(
        "Math.min(...Array.from({length: 10}, () => { const began = performance.now();"
        " document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));"
        " document.body.getBoundingClientRect(); return performance.now() - began }))"
    )
    assert fastest < 50
