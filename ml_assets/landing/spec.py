"""The block ``landing:`` of a source's YAML: one of the places that landing files come from, told by its key."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from ml_assets.contracts.errors import nearest
from ml_assets.instance.home import STAGED
from ml_assets.landing.limits import FileLimits
from ml_assets.landing.pieces import Landing
from ml_assets.landing.places.database import DatabaseSpec
from ml_assets.landing.places.folder import FolderSpec, LandingFolder
from ml_assets.landing.places.object_store import ObjectStoreSpec
from ml_assets.landing.places.place import PlaceSpec

PLACES: tuple[type[PlaceSpec], ...] = (FolderSpec, ObjectStoreSpec, DatabaseSpec)
"""To add a place, write its file in ``places`` and name its spec here."""


def landing_of(place: PlaceSpec, source: str) -> Landing:
    """The landing of a source.

    Where ML_ASSETS_LANDING names a folder, it is that folder's subfolder of the source's name instead.
    """
    if staged := os.environ.get(STAGED):
        return LandingFolder(Path(staged) / source, place.file_pattern, place.delimiter, place.limits)
    return place.open()


def _place_of(given: Any) -> PlaceSpec:
    """The place that a mapping declares, by which of their keys it has; ValueError unless it has exactly one."""
    if isinstance(given, PlaceSpec):
        return given
    keys = [place.key for place in PLACES]
    if not isinstance(given, Mapping):
        raise ValueError(f"landing is {given!r}; a mapping with one of {', '.join(keys)} is expected")
    given = {key: value for key, value in given.items() if value is not None}
    named = [place for place in PLACES if given.get(place.key)]
    if len(named) != 1:
        words = " and ".join(place.key for place in named) or "no place"
        known = {name for place in PLACES for name in place.model_fields}
        odd = next((key for key in given if key not in known), None)
        hint = f" ({odd!r} is none{nearest(odd, known)})" if odd is not None else ""
        raise ValueError(
            f"landing names {words}{hint}; exactly one of {', '.join(keys[:-1])} and {keys[-1]} is expected"
        )
    [place] = named
    for other in PLACES:
        for name in _needed(other):
            if bool(given.get(name)) != (other is place):
                raise ValueError(f"landing.{name} goes with landing.{other.key}: give both, or neither")
    return place.model_validate(given)


def _needed(place: type[PlaceSpec]) -> list[str]:
    """What a place needs beside its key."""
    return [name for name, field in place.model_fields.items() if field.is_required() and name != place.key]


class _EveryPlace:
    """The JSON schema for editors: the keys of all places; which of them go together is told when it is read."""

    def __get_pydantic_json_schema__(self, *_: object) -> dict[str, Any]:
        return _schema()


def _schema() -> dict[str, Any]:
    of_all = PlaceSpec.model_json_schema()["properties"] | {"limits": FileLimits.model_json_schema()}
    own: dict[str, Any] = {}
    for place in PLACES:
        own |= {k: v for k, v in place.model_json_schema()["properties"].items() if k not in of_all}
    return {
        "type": "object",
        "title": "LandingSpec",
        "description": "Where the producer leaves one file per day: a folder, an object store, or the rows of a "
        "database query.",
        "properties": own | of_all,
        "additionalProperties": False,
    }


LandingSpec = Annotated[PlaceSpec, BeforeValidator(_place_of), _EveryPlace()]
