"""The pages say of every aggregation what its class says."""

from pathlib import Path

import pytest

from ml_assets.features.aggregations.aggregation import Aggregation
from ml_assets.features.spec import AGGREGATIONS

DOCS = Path(__file__).parents[3] / "docs"
MERGES = {
    "SUM": "add up",
    "MIN": "the least",
    "MAX": "the greatest",
    "COUNTS": "counts add up",
    "UNION": "unite",
}


def row(way: type[Aggregation]) -> str:
    parts = way("x", "*" if way.key == "count" else "y").parts
    merging = ", ".join(dict.fromkeys(MERGES[part.merge] for part in parts.values()))
    cells = (
        f"`{way.key}`",
        "windows" if way.windowed else "everything",
        way.takes,
        way.gives.format(value="as its value"),
        way.unit or "as its value",
        way.empty.replace("NULL", "none"),
        ", ".join(f"`{part}`" for part in parts),
        merging,
        "yes" if all(part.subtracts for part in parts.values()) else "no",
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("way", AGGREGATIONS.values(), ids=AGGREGATIONS)
def test_the_table_of_aggregations_has_its_row(way: type[Aggregation]) -> None:
    assert row(way) in (DOCS / "features.md").read_text().splitlines()


@pytest.mark.parametrize("way", AGGREGATIONS.values(), ids=AGGREGATIONS)
def test_the_keys_of_the_yaml_have_its_meaning(way: type[Aggregation]) -> None:
    assert f"| `{way.key}` | " in (text := (DOCS / "yaml.md").read_text())
    assert f"| none | {way.means} |" in text
