"""Writes what is measured into README and docs: ``make figures``, or ``make figures FIGURES="drift spine"`` for some.

A page says where a figure stands: ``<!-- figures: drift -->``, and ``<!-- end -->`` behind it. What is between the two is
what a program of the name printed, under a line that says when, of which commit and on what.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml_assets_tests.places import CHECKOUT

BLOCK = re.compile(r"<!-- figures: (?P<name>\S+) -->\n(?P<text>.*?)<!-- end -->\n", re.DOTALL)
NOT_YET = "Not measured yet: `make figures FIGURES={name}`.\n"
"""What stands between new marks."""
QUICK, BY_NAME = 5.0, float("inf")


@dataclass(frozen=True)
class Figure:
    """A module that prints Markdown when it is run with the arguments, and its minutes on two idle cores.

    Up to QUICK minutes it is measured unless others are named; the rest are measured by name.
    """

    module: str
    arguments: tuple[str, ...] = ()
    minutes: float = 1

    def measured(self) -> str:
        """What it prints; CalledProcessError if it fails."""
        command = [sys.executable, "-W", "ignore", "-m", f"ml_assets_tests.{self.module}", *self.arguments]
        done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()


FIGURES = {
    "code_location": Figure("benchmarks.code_location"),
    "declared": Figure("benchmarks.declared"),
    "contract": Figure("benchmarks.contract", minutes=2),
    "year": Figure("benchmarks.year", minutes=3),
    "ten_years": Figure("benchmarks.ten_years"),
    "idle": Figure("benchmarks.idle", minutes=5),
    "bootstrap": Figure("benchmarks.bootstrap"),
    "training": Figure("benchmarks.training", minutes=2),
    "estimators": Figure("benchmarks.estimators"),
    "default_project": Figure("benchmarks.default_project", minutes=4),
    "drift": Figure("benchmarks.drift", minutes=35),
    "spine": Figure("benchmarks.spine", ("0.25", "1", "4"), minutes=30),
    "walk_forward": Figure("use_cases.walk_forward", minutes=BY_NAME),
    "walk_forward_online_retail": Figure("use_cases.walk_forward", minutes=BY_NAME),
    "durations": Figure("durations", minutes=BY_NAME),
}
"""By name what takes long, and what reads what others have made: ``walk_forward`` the project that `make up` made,
``walk_forward_online_retail`` the same of the second use case (``ML_ASSETS_DEFS`` and ``ML_ASSETS_HOME`` say where),
``durations`` the reports of `make test` and `make proofs`."""


def pages() -> Iterator[Path]:
    """Where figures may stand. Decision records say what was measured when they were decided, and stay."""
    yield CHECKOUT / "README.md"
    yield from sorted((CHECKOUT / "docs").glob("*.md"))


def written(text: str, name: str, figure: str) -> str:
    """The text with the figure between the marks of its name, wherever they are."""
    return BLOCK.sub(
        lambda block: (
            f"<!-- figures: {name} -->\n{figure}\n<!-- end -->\n" if block["name"] == name else block[0]
        ),
        text,
    )


def commit() -> str:
    """That of the checkout, and whether the package differs from it; "no commit" outside of a repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True).stdout.strip()

    changed = " and changes" if git("status", "--porcelain", "--", "ml_assets") else ""
    return (git("log", "-1", "--format=%h") or "no commit") + changed


def circumstances(at: str) -> str:
    """When, at which commit and on what it is measured, and how much the machine had to do just before."""
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} at {at}: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, "
        f"Python {platform.python_version()}."
    )


def main(names: Iterable[str]) -> None:
    """Measure the named figures, one after the other, and write each into the pages that have marks for it."""
    at = commit()
    for name in list(names) or [name for name, figure in FIGURES.items() if figure.minutes <= QUICK]:
        figure = f"{circumstances(at)}\n\n{FIGURES[name].measured()}"
        for page in pages():
            before = page.read_text()
            if (after := written(before, name, figure)) != before:
                page.write_text(after)
                print(f"{name}: {page.relative_to(CHECKOUT)}", flush=True)


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - FIGURES.keys():
        sys.exit(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    main(sys.argv[1:])
