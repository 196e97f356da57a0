"""docs/dependencies.md names what pyproject.toml asks for, nothing else, with the licences that the packages state."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata

import pytest

from ml_assets_tests.places import CHECKOUT

PAGE = (CHECKOUT / "docs" / "dependencies.md").read_text()
ROW = re.compile(
    r"^\| `(?P<name>[^`]+)` \| (?P<what>.+?) \| (?P<why>.*?) ?\| (?P<licence>[^|]+) \|$", re.MULTILINE
)
NAMES = {
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
}
"""A licence as packages state it -> by its SPDX name."""
SPDX = re.compile(r"[A-Z][A-Za-z0-9.-]*-[0-9A-Za-z.-]+|MIT")


def rows_of(heading: str) -> dict[str, str]:
    """Package -> licence, in the tables below a heading."""
    part = PAGE.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return {row["name"]: row["licence"] for row in ROW.finditer(part)}


def wanted(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;\s]", requirement)[0] for requirement in requirements}


def stated(name: str) -> str | None:
    """The licence that an installed package states, by its SPDX name; None if it can't be read or isn't installed."""
    try:
        of = metadata(name)
    except PackageNotFoundError:
        return None
    if expression := of.get("License-Expression"):
        return str(expression)
    kinds = [
        line.rpartition(" :: ")[2] for line in of.get_all("Classifier", []) if line.startswith("License ::")
    ]
    for said in (of.get("License") or "", *kinds):
        if said in NAMES or SPDX.fullmatch(said):
            return NAMES.get(said, said)
    return None


def test_the_page_has_every_dependency_and_none_beyond() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert rows_of("## To run").keys() == wanted(project["dependencies"] + extras["postgres"])
    here = wanted(extras["dev"]) - wanted(project["dependencies"])
    assert rows_of("## To work on it").keys() == here


@pytest.mark.parametrize(
    ("name", "licence"), [*rows_of("## To run").items(), *rows_of("## To work on it").items()]
)
def test_the_licence_is_the_one_that_the_package_states(name: str, licence: str) -> None:
    assert stated(name) in (licence, None)


def test_of_nearly_all_packages_the_licence_can_be_read() -> None:
    names = [*rows_of("## To run"), *rows_of("## To work on it")]
    unread = {name for name in names if stated(name) is None}
    assert unread <= {"skops", "xgboost", "xgboost-cpu"}


def test_every_package_to_run_has_a_reason() -> None:
    part = PAGE.partition("\n## To run\n")[2].partition("\n## ")[0]
    assert all(row["what"].strip() and row["why"].strip() for row in ROW.finditer(part))
