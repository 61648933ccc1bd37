import re
from pathlib import Path

import pytest

from components.compare import page
from components.compare.differences import compare, corrected, every
from model.interface.errors import BadInput
from tests.components.compare.made import run

GOOD, BAD = run("good", 2), run("bad", 12)


def written(tmp_path: Path, **changes) -> str:
    rows = every([BAD, GOOD], ("accuracy",))
    out = page.write(tmp_path / "page.html", "Good and bad", rows, [BAD, GOOD], **changes)
    return out.read_text()


def test_the_page_has_table_plot_board_and_changed_answers(tmp_path: Path) -> None:
    text = written(tmp_path, shown=3)
    assert "+0.250 [" in text
    assert text.count("<details>") == 3
    assert "10 answers became right and 0 wrong" in text
    assert text.index("<code>good</code>") < text.index("<code>bad</code>")  # the better one first
    assert "5 of 5 seeds" in text


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
