"""Every malformed input gets the right verdict, rightly told, within bounds; the page in docs/ says so."""

import json
import subprocess
import sys

import pytest

from tests.bad_input.case import Case
from tests.bad_input.catalogue import CASES
from tests.bad_input.measure import Outcome, wrong
from tests.bad_input.table import PAGE, lasting, page


@pytest.fixture(scope="session")
def outcomes() -> dict[str, Outcome]:
    """By name, of one clean process that forks for each."""
    command = [sys.executable, "-m", "tests.bad_input.measure"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [Outcome(**row) for row in map(json.loads, told.splitlines())]
    return {one.name: one for one in found}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_malformed_input_gets_the_right_verdict_within_bounds(outcomes: dict[str, Outcome], case: Case) -> None:
    assert wrong(case, outcomes[case.name]) == []


def test_the_page_tells_what_is_told(outcomes: dict[str, Outcome]) -> None:
    found = page(CASES, [outcomes[case.name] for case in CASES])
    assert lasting(PAGE.read_text()) == lasting(found), "python -m tests.bad_input.table"


def test_names_are_told_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 148
