"""A landing is one of the places, told by the key that it has."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ml_assets.instance.home import STAGED
from ml_assets.landing import LandingFolder
from ml_assets.landing.places.database import LandingQuery
from ml_assets.landing.places.object_store import LandingBucket
from ml_assets.landing.places.place import PlaceSpec
from ml_assets.landing.spec import PLACES, LandingSpec, landing_of

LANDING: TypeAdapter[PlaceSpec] = TypeAdapter(LandingSpec)
DATABASE = {"database": "sqlite:////shop.db", "query": "SELECT 1", "watermark": "at"}


@pytest.mark.parametrize(
    ("declared", "opened", "staged"),
    [
        (
            {"path": "/drop", "pattern": "{date}.csv", "delimiter": ";"},
            LandingFolder(Path("/drop"), "{date}.csv", ";"),
            LandingFolder(Path("/staged/shop"), "{date}.csv", ";"),
        ),
        (
            {"url": "s3://drop/shop", "path": None, "late_days": 3},
            LandingBucket("s3://drop/shop", "{date}.parquet", ","),
            LandingFolder(Path("/staged/shop"), "{date}.parquet"),
        ),
        (
            DATABASE,
            LandingQuery("sqlite:////shop.db", "SELECT 1", "at"),
            LandingFolder(Path("/staged/shop"), "{date}.jsonl"),
        ),
    ],
)
def test_each_key_is_a_place(
    declared: dict[str, Any], opened: object, staged: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = LANDING.validate_python(declared)
    assert landing_of(place, "shop") == opened
    assert place.late_days == declared.get("late_days", 0)
    assert LANDING.validate_python(place) is place
    monkeypatch.setenv(STAGED, "/staged")
    assert landing_of(place, "shop") == staged


def test_a_relative_folder_is_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    assert landing_of(LANDING.validate_python({"path": "drop"}), "shop") == LandingFolder(tmp_path / "drop")


@pytest.mark.parametrize(
    ("declared", "where", "said"),
    [
        ({}, (), "landing names no place; exactly one of path, url and database is expected"),
        ({"pth": "drop"}, (), "landing names no place ('pth' is none; did you mean 'path'?); exactly one"),
        ({"path": "drop", "url": "s3://drop"}, (), "landing names path and url; exactly one of path"),
        ({"path": "drop", "query": "SELECT 1"}, (), "landing.query goes with landing.database: give both"),
        ({**DATABASE, "watermark": None}, (), "landing.watermark goes with landing.database: give both"),
        ("drop", (), "landing is 'drop'; a mapping with one of path, url, database is expected"),
        ({"path": "drop", "patern": "{date}.csv"}, ("patern",), "Extra inputs are not permitted"),
        ({"path": "drop", "pattern": "{date}.xlsx"}, ("pattern",), "isn't a file name with one {date}"),
        ({"path": "drop", "delimiter": "::"}, ("delimiter",), "isn't one character"),
        ({"path": "drop", "late_days": -1}, ("late_days",), "greater than or equal to 0"),
        ({"url": "https://drop"}, ("url",), "isn't s3://bucket/prefix"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(declared: object, where: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        LANDING.validate_python(declared)
    [error] = raised.value.errors()
    assert error["loc"] == where
    assert said in error["msg"]


def test_the_schema_for_editors_has_the_keys_of_all_places() -> None:
    schema = LANDING.json_schema()
    assert set(schema["properties"]) == {name for place in PLACES for name in place.model_fields}
    assert all("description" in prop for prop in schema["properties"].values())
    assert not schema["additionalProperties"]
