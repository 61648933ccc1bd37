"""A build whose rationales a real (local) endpoint rephrases: words change, nothing else does."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from components.data.cot import build, check
from components.data.cot.receipts import receipt_file
from components.data.rewriter import RewriterConfig
from model.imaging import shards
from tests.components.data.cot.conftest import config_of


class Rephrasing(BaseHTTPRequestHandler):
    """Says "plainly" after <think>; every third time it also moves the first box."""

    asked = 0

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        trace = request["messages"][-1]["content"]
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
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_words_change_and_nothing_else_does(blob_source, tmp_path, endpoint):
    plain = config_of(tmp_path / "plain", cases=16, cases_per_shard=16, workers=1, slices=2, held_out=(0, 0))
    build.run(plain)
    spoken = plain.model_copy(
        update={"out": tmp_path / "spoken", "rewriter": RewriterConfig(url=endpoint, model="stub", concurrency=1)}
    )
    build.run(spoken)
    before, after = (shards.read_questions(config.out, "train") for config in (plain, spoken))
    told = json.loads(receipt_file(spoken.out, "train-00000").read_text())["rewritten"]
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
