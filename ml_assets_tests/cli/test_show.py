"""Results: tables that no pipe cuts and a terminal wraps, and JSON that any program reads."""

import io
import json
import re
import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest

from ml_assets.cli import show

LONG = "x" * 300


def test_a_pipe_has_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("model", "why"), [("lapse", LONG), (12, None)])
    assert capsys.readouterr().out == f"model  why\nlapse  {LONG}\n12     -\n"
    show.table((), [("a", "b")], indent="  ")
    assert capsys.readouterr().out == "  a  b\n"


def test_a_terminal_wraps_and_keeps_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    show.table(("model", "why"), [("[lapse]", "word " * 30)])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert "[lapse]" in lines[1]
    assert len(lines) > 4
    assert max(map(len, lines)) <= 40
    assert "\x1b[3" not in screen.getvalue(), "no colour"


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Line:
        day: date
        values: tuple[float, ...]
        by_day: dict[date, Decimal]
        names: frozenset[str]

    day = date(2024, 3, 4)
    show.as_json([Line(day, (0.5, float("nan")), {day: Decimal("1.50")}, frozenset({"b", "a"}))])
    assert json.loads(capsys.readouterr().out) == [
        {"day": "2024-03-04", "values": [0.5, None], "by_day": {"2024-03-04": "1.50"}, "names": ["a", "b"]}
    ]
