"""One budget, however many count in it."""

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from components.data.calls import Calls


def spent(file: Path, tries: int) -> int:
    calls = Calls(file, 50)
    return sum(calls.spend() for _ in range(tries))


def test_threads_and_processes_spend_one_budget(tmp_path):
    file = tmp_path / "calls"
    with ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(2) as threads:
        some = [pool.submit(spent, file, 20) for pool in (processes, threads) for _ in range(2)]
        assert sum(one.result() for one in some) == 50
    assert Calls(file, 50).made == 50


def test_a_run_goes_on_where_it_was_stopped_and_another_starts_anew(tmp_path):
    calls = Calls(tmp_path / "calls", 3)
    calls.begin("one")
    assert [calls.spend() for _ in range(2)] == [True, True]
    again = Calls(tmp_path / "calls", 3)
    again.begin("one")
    assert [again.spend() for _ in range(3)] == [True, False, False]
    again.begin("other")
    assert again.spend()
    assert json.loads(again.file.read_text()) == {"run": "other", "made": 1}
