"""Malformed `params.yaml`, and overrides of the contract that make none."""

from pathlib import Path

from tests.bad_input.case import READ, Case, cases_of
from tests.bad_input.openers import PARAMS, override

FAULTS = (
    ("mistyped key", "a key that is nearly one", b"step: {learning_rat: 1}",
     ("unknown key 'learning_rat' in section 'step'", "did you mean 'learning_rate'?")),
    ("unknown key", "a key like none", b"step: {zzz: 1}",
     ("unknown key 'zzz' in section 'step'", "one of learning_rate, steps")),
    ("out of range", "a learning rate of -1", b"step: {learning_rate: -1}", ("step.learning_rate", "greater than 0")),
    ("wrong kind", "a learning rate in words", b"step: {learning_rate: high}",
     ("step.learning_rate", "found 'high'", "a valid number")),
    ("mistyped section", "a section that is nearly one", b"drfit: {}",
     ("unknown section 'drfit'; did you mean 'drift'?", "found 'drfit'")),
    ("no section", "a number for a section", b"step: 3", ("section 'step'", "found 3")),
    ("a list", "a list for the file", b"- 3", ("found a list", "sections")),
    ("not YAML", "two colons in a line", b"a: b: c", ("not readable as YAML", "line 1")),
    ("tab", "a tab for an indent", b"a: 1\n\tb: 2\n", ("not readable as YAML", "line 2")),
    ("twice", "a key twice", b"step: {steps: 3, steps: 4}", ("the key 'steps' twice", "line 1")),
    ("alias", "an alias, of which bombs are made", b"a: &a [1, 1]\nb: [*a, *a]", ("an alias", "line 2")),
    ("NaN", "a learning rate of NaN", b"step: {learning_rate: .nan}", ("step.learning_rate", "nan")),
    ("half a step", "steps 1.5", b"step: {steps: 1.5}", ("step.steps", "1.5")),
    ("huge", "70,000 characters", b"x" * 70_000, ("70000 characters", "65536")),
    ("code", "a call of Python", b"step: !!python/object/apply:os.system [ls]", ("not readable as YAML", "line 1")),
    ("bytes", "a byte that is no UTF-8", b"a: \xff", ("not UTF-8",)),
    ("deep", "lists nested 3000 deep", b"a: " + b"[" * 3000 + b"]" * 3000, ("nested",)),
    ("list for a key", "a list for a key", b"? [1, 2]\n: 3", ("not readable as YAML",)),
)  # fmt: skip
FINE = (
    ("empty", "nothing: an empty file is all defaults", b"", ()),
    ("number as text", "nothing: 1e-4, which YAML takes for text", b"step: {learning_rate: 1e-4}", ()),
)
OVERRIDES = (
    ("unknown field", "a field that decides what tokens mean", "patch=4", ("--override", "found patch=4", "plane")),
    ("unknown window", "a window nobody knows", "ct_windows=bran", ("unknown window 'bran'", "brain, subdural")),
    ("no value", "a name alone", "plane", ("--override", "found plane")),
    ("descending", "percentiles that descend", "mr_percentiles=99,1", ("expected 0 <= low < high",)),
    ("words", "percentiles in words", "mr_percentiles=a,b", ("--override", "number")),
    ("too many windows", "two windows in one channel", "ct_windows=lung,bone", ("2 ct_windows, expected 1",)),
    ("no width", "a window without a width", "ct_windows=40/0", ("width 0",)),
    ("infinite", "a level beyond all numbers", "ct_windows=1e999/80", ("ct_windows",)),
)  # fmt: skip


def loop(folder: Path) -> Path:
    (folder / "params.yaml").symlink_to(folder / "params.yaml")
    return folder / "params.yaml"


def directory(folder: Path) -> Path:
    (folder / "params.yaml").mkdir()
    return folder / "params.yaml"


CASES: list[Case] = [
    *cases_of("params", [(name, wrong, "params.yaml", raw, told) for name, wrong, raw, told in FAULTS], opener=PARAMS),
    *cases_of("params", [(name, wrong, "params.yaml", raw, told) for name, wrong, raw, told in FINE], READ, PARAMS),
    Case("params: loop", "a link to itself", loop, ("can't be read",), opener=PARAMS),
    Case("params: folder", "a folder", directory, ("can't be read",), opener=PARAMS),
    *(
        Case(f"override: {name}", wrong, lambda folder: folder, words, opener=override(change))
        for name, wrong, change, words in OVERRIDES
    ),
]
