"""The pages and the command that writes figures into them agree, and no figure of time or memory is typed by hand."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from ml_assets_tests import figures
from ml_assets_tests.figures import BLOCK, FIGURES, Figure, main, pages, written

MEASURED = re.compile(
    r"\b\d[\d,]*(\.\d+)? (ms|MB|GB|seconds of CPU)\b|\b\d+\.\d+ (s|seconds|min|minutes)\b"
    r"|\b(takes?|took|in) [\d.,]+ (s|seconds|min|minutes|hours)\b|\b[\d.,]+ times (as|faster|slower|a|that)\b"
)
"""Time, memory and speed, in the ways that people write them. It knows no others: an AUC, or a count of rows."""
CHOSEN = {
    "docs/benchmarks.md": {"16 GB"},
    "docs/commands.md": {"0.8 s", "0.3 s"},
    "docs/faults.md": {"40 ms", "2 MB"},
    "docs/monitoring.md": {"in 24 hours"},
    "docs/testing.md": {"3 seconds of CPU"},
}
"""Page -> what looks measured there and isn't: limits and sizes that somebody set."""
PAGES = {str(page.relative_to(figures.CHECKOUT)): page for page in pages()}


def unmarked(text: str) -> list[str]:
    """What looks measured and stands outside of the marks."""
    return [found[0] for found in MEASURED.finditer(BLOCK.sub("", text))]


def test_every_mark_names_a_figure_and_every_figure_has_a_place() -> None:
    text = "".join(page.read_text() for page in pages())
    named = [block["name"] for block in BLOCK.finditer(text)]
    assert text.count("<!-- figures: ") == text.count("<!-- end -->") == len(named), "a mark has no end"
    assert sorted(named) == sorted(FIGURES)
    for figure in FIGURES.values():
        assert find_spec(f"ml_assets_tests.{figure.module}"), figure.module


def test_what_stands_between_marks_says_when_it_was_measured() -> None:
    for page in pages():
        for block in BLOCK.finditer(page.read_text()):
            measured = re.match(r"Measured \d{4}-\d\d-\d\d at [^:\n]+: ", block["text"])
            assert measured or block["text"] == figures.NOT_YET.format(**block.groupdict()), block["name"]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_figure_of_time_or_memory_that_no_command_wrote(page: str) -> None:
    assert set(unmarked(PAGES[page].read_text())) == CHOSEN.get(page, set())


@pytest.mark.parametrize(
    "text",
    ["it takes 1.47 s", "2.0 GB", "9.9 times a scan", "takes 12 s", "in 3 min", "5 ms", "8 times faster"],
)
def test_a_figure_typed_by_hand_is_found(text: str) -> None:
    marked = f"<!-- figures: year -->\n{text}\n<!-- end -->\n"
    assert unmarked(text)
    assert unmarked(marked) == []
    assert unmarked(f"{marked}and {text}")


def test_a_figure_is_written_between_its_own_marks_alone() -> None:
    page = "a\n<!-- figures: x -->\n<!-- end -->\nb\n<!-- figures: y -->\nold\n<!-- end -->\n"
    once = written(page, "x", r"1.5 s \1")
    assert once == page.replace("figures: x -->\n", "figures: x -->\n1.5 s \\1\n")
    assert written(once, "x", r"1.5 s \1") == once


def test_the_command_measures_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "README.md"
    page.write_text("# A\n<!-- figures: markdown -->\n<!-- end -->\n")
    monkeypatch.setattr(figures, "FIGURES", {"markdown": Figure("markdown")})
    monkeypatch.setattr(figures, "pages", lambda: [page])
    monkeypatch.setattr(figures, "CHECKOUT", tmp_path)
    monkeypatch.setattr(figures, "circumstances", lambda at: "Measured today.")
    monkeypatch.setattr(Figure, "measured", lambda self: "| 0.5 s |")
    main(["markdown"])
    assert page.read_text() == "# A\n<!-- figures: markdown -->\nMeasured today.\n\n| 0.5 s |\n<!-- end -->\n"
