"""Progress as a log and as a bar: what is said, and how what is left is estimated."""

import io
import re
import sys

import pytest

from ml_assets.cli import progress as shown
from ml_assets.cli import show
from ml_assets.cli.progress import Counts
from ml_assets.instance import progress

Capture = pytest.CaptureFixture[str]


def work() -> None:
    with progress.phase("churn: candidate  2024-03-04 to 2024-03-11"):
        for _ in progress.counted(("2024-03-04", "2024-03-11"), "cutoffs"):
            for _ in progress.counted(range(4), "trials"):
                pass
            progress.say("version 1 is worse")
    progress.say("churn waits")


def test_nobody_has_to_listen() -> None:
    work()


def test_a_log_has_lines_that_stay(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "EVERY", 0.0)
    with shown.shown():
        work()
    said = capsys.readouterr()
    assert said.out == ""
    lines = [re.sub(r"\d+\.\d s", "N s", line) for line in said.err.splitlines()]
    assert lines[0] == "  churn: candidate  2024-03-04 to 2024-03-11"
    assert "      0 of 2 cutoffs, 3 of 4 trials; N s, about N s left" in lines
    assert "      1 of 2 cutoffs, 2 of 4 trials; N s, about N s left" in lines
    assert lines[-4:] == [
        "      version 1 is worse",
        "      2 of 2 cutoffs; N s, about N s left",
        "      done in N s",
        "  churn waits",
    ]


def test_a_log_is_not_flooded(capsys: Capture) -> None:
    with shown.shown(), progress.phase("days"):
        for _ in progress.counted(range(1000), "days"):
            pass
    assert len(capsys.readouterr().err.splitlines()) == 2


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_and_a_line_for_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with shown.shown():
        work()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "about" in text
    assert "2 of 2 cutoffs" in text
    last = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()][-2:]
    assert re.fullmatch(r"churn: candidate  2024-03-04 to 2024-03-11  done in \d+\.\d s", last[0])
    assert last[1] == "churn waits"


def test_a_phase_that_raises_has_failed(capsys: Capture) -> None:
    with pytest.raises(KeyError), shown.shown(), progress.phase("p"):
        raise KeyError
    assert re.fullmatch(r"  p\n      failed in \d+\.\d s\n", capsys.readouterr().err)


def test_counts_are_inside_each_other() -> None:
    counts = Counts()
    assert (counts.share, counts.left) == (0.0, None)
    counts.advance("steps", 1, 4)
    assert counts.share == 0.25
    counts.advance("cutoffs", 1, 2)
    assert counts.share == 0.25 + 0.25 / 2
    counts.advance("trials", 5, 10)
    assert counts.share == 0.25 + 0.25 / 2 + 0.25 / 2 / 2
    counts.advance("cutoffs", 2, 2)
    assert counts.share == 0.5, "and the trials begin anew"
    counts.counting -= 30
    assert counts.left == pytest.approx(30, abs=1)
    counts.advance("steps", 4, 4)
    assert counts.share == 1.0
    assert counts.in_words() == "4 of 4 steps"


def test_what_is_counted_after_something_complete_begins_anew() -> None:
    counts = Counts()
    counts.advance("simulations", 2, 2)
    counts.advance("features", 1, 4)
    assert (counts.share, counts.in_words()) == (0.25, "1 of 4 features")


def test_a_command_that_says_nothing_for_long_says_that_it_works(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(show, "PATIENCE", 0.01)
    with show.waiting("ml-assets models list"):
        time.sleep(0.2)
    assert capsys.readouterr().err == "ml-assets models list ...\n"
    with show.waiting("ml-assets models list"):
        show.text("model")
        time.sleep(0.1)
    assert capsys.readouterr() == ("model\n", "")
