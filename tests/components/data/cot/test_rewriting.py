"""A build whose rationales a real (local) endpoint rephrases: words change, nothing else does."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pytest

from components.data.cot import build, check
from components.data.cot.plan import CotConfig
from components.data.cot.receipts import receipt_file
from components.data.rewriter import RewriterConfig
from model.imaging import shards
from model.interface.question import Question, Remark
from tests.components.data.cot.conftest import config_of

LOCK = Lock()


class Rephrasing(BaseHTTPRequestHandler):
    """Says "plainly" after <think>; every third time it also moves the first box."""

    asked = 0

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        trace = request["messages"][-1]["content"]
        with LOCK:
            type(self).asked += 1
        new = trace.replace("<think>", "<think>Plainly, ", 1)
        if self.asked % 3 == 0:
            new = new.replace("<|box_start|>[", "<|box_start|>[1", 1).replace("</think>", " No doubt.</think>")
        body = json.dumps({"choices": [{"message": {"content": new}, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rephrasing)
    Rephrasing.asked = 0
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def rewritten(config: CotConfig, shard: str) -> dict:
    """What its receipt tells."""
    return json.loads(receipt_file(config.out, shard).read_text())["rewritten"]


def test_words_change_and_nothing_else_does(blob_source, tmp_path, endpoint):
    plain = config_of(tmp_path / "plain", cases=16, cases_per_shard=16, workers=1, slices=2, held_out=(0, 0))
    build.run(plain)
    spoken = plain.model_copy(
        update={"out": tmp_path / "spoken", "rewriter": RewriterConfig(url=endpoint, model="stub", concurrency=1)}
    )
    build.run(spoken)
    before, after = (shards.read_questions(config.out, "train") for config in (plain, spoken))
    told = rewritten(spoken, "train-00000")
    assert told["accepted"] > len(before) / 2
    assert sum(told["refused"].values()) > len(before) / 4
    assert told["accepted"] + sum(told["refused"].values()) == len(before)
    changed = 0
    for one, other in zip(before, after, strict=True):
        assert (one.text, one.options, one.answer, one.reply) == (other.text, other.options, other.answer, other.reply)
        boxes = [[(r.box, r.names, r.kind) for r in q.rationale if r.box] for q in (one, other)]
        assert boxes[0] == boxes[1]
        changed += one.rationale != other.rationale
        assert one.rationale == other.rationale or other.rationale[0].text.startswith("Plainly, ")
    assert changed == told["accepted"]
    assert check.check(spoken)[1] == []
    only_told(spoken, told["accepted"] - 1)
    assert {fault.question for fault in check.check(spoken)[1]} >= {
        other.id for one, other in zip(before, after, strict=True) if one.rationale != other.rationale
    }, "more words of one's own than the receipt tells of"


def only_told(config: CotConfig, accepted: int) -> None:
    file = receipt_file(config.out, "train-00000")
    told = json.loads(file.read_text())
    told["rewritten"]["accepted"] = accepted
    file.write_text(json.dumps(told))


def test_words_of_a_models_own_that_contradict_the_masks_are_found(blob_source, tmp_path, endpoint):
    config = spoken_of(tmp_path / "data", endpoint, 10_000, cases=16, cases_per_shard=16, workers=1, held_out=(0, 0))
    build.run(config)
    asked = shards.read_questions(config.out, "train")
    turned = {question.id: concluded_otherwise(question) for question in asked}
    harmed = {name for name, question in turned.items() if question not in asked}
    assert len(harmed) > 30
    shards.write_questions(config.out, "train-00000", list(turned.values()))
    shards.seal(config.out)
    assert {fault.question for fault in check.check(config)[1]} == harmed


def concluded_otherwise(question: Question) -> Question:
    last = question.rationale[-1]
    new = TURNED.sub(lambda found: OTHER[found[0]], last.text)
    if last.box or new == last.text:
        return question
    return replace(question, rationale=(*question.rationale[:-1], Remark(f"Taken together, {new}")))


OTHER = {"left": "right", "right": "left", "above": "below", "below": "above", "upper": "lower", "lower": "upper"}
TURNED = re.compile(rf"\b(?:{'|'.join(OTHER)})\b")


def spoken_of(out: Path, url: str, most_calls: int, **changed) -> CotConfig:
    rewriter = RewriterConfig(url=url, model="stub", concurrency=2, most_calls=most_calls)
    return config_of(out, slices=2, rewriter=rewriter, **changed)


def test_workers_share_one_budget(blob_source, tmp_path, endpoint):
    config = spoken_of(tmp_path / "data", endpoint, 60, cases=32, cases_per_shard=8, workers=3)
    told = [receipt["rewritten"] for receipt in build.run(config)]
    assert len([one for one in told if one["calls"]]) > 1, "several shards had a part of it"
    assert sum(one["calls"] for one in told) == Rephrasing.asked == 60
    assert sum(one["refused"].get("the budget is spent", 0) for one in told) > 0


KILLED = """
import sys
from pathlib import Path
from components.data.cot import build
from components.data.sources import registry
from tests.components.data.cot import blobs
from tests.components.data.cot.test_rewriting import killed
registry.adapter = lambda name: blobs
if __name__ == "__main__":
    build.run(killed(Path(sys.argv[1]), sys.argv[2]))
"""


def killed(out: Path, url: str) -> CotConfig:
    return spoken_of(out, url, 150, cases=32, cases_per_shard=16, workers=1, held_out=(0, 0))


def test_a_build_that_goes_on_has_what_is_left_of_its_budget(blob_source, tmp_path, endpoint):
    config = killed(tmp_path / "data", endpoint)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(config.out), endpoint]) as child:
        while Rephrasing.asked < 20 and child.poll() is None:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    before, (file,) = Rephrasing.asked, config.out.glob("receipts/calls")
    assert 20 <= before < 150
    assert 20 <= json.loads(file.read_text())["made"] <= before + 2
    told = [receipt["rewritten"] for receipt in build.run(config)]
    assert json.loads(file.read_text())["made"] == 150
    assert 150 - 2 <= Rephrasing.asked <= 150, "two may have been counted that the kill kept from being made"
    assert sum(one["calls"] for one in told) <= 150 - 20, "what was asked before the kill is asked no second time"
    again = Rephrasing.asked
    build.run(config.model_copy(update={"seed": 7}))
    assert Rephrasing.asked - again == 150, "another build has a budget of its own"
