"""The catalogue as docs/bad_inputs.md: run every case, and tell what was said.

python -m tests.bad_input.table        write the page
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from components import environment
from model.interface.writing import write_text
from tests.bad_input.case import REFUSED, Case
from tests.bad_input.catalogue import CASES
from tests.bad_input.measure import LARGEST_MIB, LONGEST_CPU_S, Outcome, outcomes, wrong

PAGE = Path(__file__).parents[2] / "docs/bad_inputs.md"
LONGEST = 160
"""Characters of what is told; the program tells it all."""
HEAD = f"""# What becomes of malformed inputs

Every input of `tests/bad_input`, made there, with the verdict and what is told of it; `python -m tests.bad_input.table`
writes this page and a test holds it true. Each is opened in a process of its own: right verdict, four lines that name
file, field, what was found and what was wanted, one family of errors, nothing that names a person, no path, nothing
printed by a library, nothing left in the temporary folder, at most {LONGEST_CPU_S} s of CPU and {LARGEST_MIB} MiB above
idle.

Where another verdict could be expected: a model's answer is never refused, what is wrong with it stands in its trace,
which counts as a warning here. A NIfTI of one slice is read, as a picture. A file that isn't what its name says is
refused, and told how to be named. A deflated DICOM may be of 128 MiB, not 512, because it can only be inflated whole.
A JPEG of 12 bits is refused: the only decoder there is comes under the GPL.
"""


def page(cases: Sequence[Case], found: Sequence[Outcome]) -> str:
    right = sum(not wrong(case, outcome) for case, outcome in zip(cases, found, strict=True))
    rows = [_row(case, outcome) for case, outcome in zip(cases, found, strict=True)]
    return "\n".join(
        [HEAD, f"**{right} of {len(cases)} right.**", "", measured(found), "",
         "| input | what is wrong | verdict | what is told |", "| --- | --- | --- | --- |", *rows, ""]
    )  # fmt: skip


def measured(found: Iterable[Outcome]) -> str:
    """One line, of one machine on one day: no test compares it."""
    slow, large = max(found, key=lambda one: one.cpu_s), max(found, key=lambda one: one.mib)
    return f"Slowest: {slow.name}, {slow.cpu_s:.1f} s of CPU. Largest: {large.name}, {large.mib:.0f} MiB above idle."


def lasting(text: str) -> list[str]:
    """The page without what was measured."""
    return [line for line in text.splitlines() if not line.startswith("Slowest: ")]


def _row(case: Case, outcome: Outcome) -> str:
    told = outcome.told
    if outcome.verdict == REFUSED:
        told = (f"{told[0].removeprefix('error: ')}: {told[1].removeprefix('  where: ')}",)
    words = re.sub(r"\b[0-9a-f]{12}\b", "…", "; ".join(told)).replace("|", "\\|").replace("\n", " ")
    if len(words) > LONGEST:
        words = words[:LONGEST] + "…"
    return f"| {case.name} | {case.wrong} | {outcome.verdict} | {words} |"


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    environment.settle()
    write_text(PAGE, page(CASES, list(outcomes(CASES))))


if __name__ == "__main__":
    main()
