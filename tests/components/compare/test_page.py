import re
from dataclasses import replace
from pathlib import Path

import pytest

from components.compare import page
from components.compare.differences import compare, corrected, every
from components.compare.runs import Run
from model.interface.errors import BadInput
from tests.components.compare.made import counting, only, run

GOOD, BAD = run("good", 2), run("bad", 12)


def written(tmp_path: Path, **changes) -> str:
    rows = every([BAD, GOOD], ("accuracy",))
    out = page.write(tmp_path / "page.html", "Good and bad", rows, [BAD, GOOD], **changes)
    return out.read_text()


def test_the_page_has_table_plot_board_and_changed_answers(tmp_path: Path) -> None:
    text = written(tmp_path, shown=3)
    assert "+0.250 [" in text
    assert text.count("<details>") == 3
    assert "With the first seed 10 answers became right and 0 wrong in 3D." in text
    assert text.index("<code>good</code>") < text.index("<code>bad</code>")  # the better one first
    assert "5 of 5 seeds" in text


def test_changed_answers_are_of_what_is_compared(tmp_path: Path) -> None:
    """A claim of volumes counts and tells of no images."""
    ours, theirs = (run(name, wrong, dimensions=(2, 3)) for name, wrong in (("ours", 2), ("theirs", 12)))
    rows = corrected([compare(ours, theirs, "accuracy", "3d", claim="volumes")])
    text = page.write(tmp_path / "p.html", "t", rows, [ours, theirs]).read_text()
    assert "With the first seed 5 answers became right and 0 wrong in 3D." in text
    assert "3D · " in text and "2D · " not in text
    text = page.write(tmp_path / "p.html", "t", every([theirs, ours], ("accuracy",)), [ours, theirs]).read_text()
    assert "5 answers became right and 0 wrong in 2D; 5 answers became right and 0 wrong in 3D." in text
    assert "<th>n of accuracy, 2D + 3D</th>" in text and "20 + 20" in text


def test_seeds_that_are_left_out_and_one_seed_alone_are_told(tmp_path: Path) -> None:
    few = only(BAD, 0)
    text = page.write(tmp_path / "p.html", "t", every([few, GOOD], ("accuracy",)), [few, GOOD]).read_text()
    assert "<small>without seed 1, 2, 3, 4 of good</small>" in text
    assert "two checkpoints are judged, not two ways of training" in text
    text = written(tmp_path)
    assert "without seed" not in text and "two checkpoints" not in text


def test_amounts_are_said_to_stand_in_the_table_alone(tmp_path: Path) -> None:
    long, short = (counting(run(name, 2), "length", dict.fromkeys(range(5), n)) for name, n in (("l", 9.0), ("s", 4.0)))
    text = page.write(tmp_path / "p.html", "t", every([short, long], ("length",)), [short, long]).read_text()
    assert "stand in the table alone" in text and "+5.000 [" in text and "<svg" not in text
    assert "stand in the table alone" not in written(tmp_path)


def test_two_runs_of_one_name_stand_on_no_page(tmp_path: Path) -> None:
    """The page would compare the one with itself. The same run twice is one."""
    alike = run("bad", 2)
    with pytest.raises(BadInput, match="called alike") as error:
        page.write(tmp_path / "p.html", "t", every([BAD, alike], ("accuracy",)), [BAD, alike])
    assert "found bad twice" in error.value.where
    rows = every([BAD, GOOD], ("accuracy",))
    text = page.write(tmp_path / "p.html", "t", rows, [BAD, GOOD, run("bad", 12)]).read_text()
    assert text.count("<code>bad</code>") == 1


def test_the_right_answer_to_an_open_question_is_told(tmp_path: Path) -> None:
    def opened(made: Run) -> Run:
        rows = {n: replace(r, asked="Where?\nIn words.", truth="in the <left>") for n, r in made.seeds[0].items()}
        return replace(made, seeds={0: rows}, told={0: made.told[0]})

    both = [opened(BAD), opened(GOOD)]
    text = page.write(tmp_path / "p.html", "t", every(both, ("accuracy",)), both).read_text()
    assert '<p class="truth">in the &lt;left&gt;</p>' in text
    assert '<p class="truth">' not in written(tmp_path)


def test_a_claim_of_no_loss_is_told_with_the_loss_it_allows(tmp_path: Path) -> None:
    rows = corrected([compare(GOOD, BAD, "accuracy", "3d", claim="nothing is lost", within=0.02)])
    text = page.write(tmp_path / "p.html", "t", rows, [GOOD, BAD], note="of one base").read_text()
    assert "accuracy, 3D, within 0.02" in text
    assert '<tr class="kept">' in text
    assert "no worse by more than that" in text and "of one base" in text
    assert "no worse by more than that" not in written(tmp_path)


def test_nothing_is_fetched_and_no_text_can_run(tmp_path: Path) -> None:
    nasty = run("<script>alert(1)</script>", 2)
    rows = corrected([compare(nasty, BAD, "accuracy", "3d", claim="<img src=x>")])
    text = page.write(tmp_path / "p.html", "<i>", rows, [nasty, BAD]).read_text()
    assert "<script" not in text and "<img" not in text and "<i>" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)


def test_runs_of_other_data_stand_on_no_page(tmp_path: Path) -> None:
    other = run("other", 2, data="e")
    rows = every([BAD, other], ("accuracy",))
    with pytest.raises(BadInput, match="other questions"):
        page.write(tmp_path / "p.html", "t", rows, [BAD, other])
