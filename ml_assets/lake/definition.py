"""Hashes of what was declared: the same declaration gives the same hash, however it is written down.

A commit records them by name, and what is declared now is held against them. Not hashed: prose, generated SQL, and
what is left at its default, so that a release that adds a key changes none.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ml_assets.lake.engine import scratch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEME = "d1"
"""What hashes begin with: how they are made. Those of another scheme say nothing of what is declared now."""
ROWS = "*"
"""The name of what says which rows there are: no column can have it."""
Definitions = Mapping[str, str]
"""Hashes by the name of what they are of: a column, or a part of a declaration."""


def hash_of(facts: Any) -> str:
    """The hash of facts, plain values that JSON knows; what is None or empty in a mapping doesn't count."""
    text = json.dumps(_said(facts), sort_keys=True, separators=(",", ":"), default=str)
    return f"{SCHEME}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def is_comparable(recorded: Definitions | None) -> bool:
    """Whether there are hashes on record, and made as they are made now."""
    return recorded is not None and all(hashed.startswith(f"{SCHEME}:") for hashed in recorded.values())


def redefined(recorded: Definitions | None, declared: Definitions) -> frozenset[str]:
    """The names of what is declared otherwise than it is on record, or is new; none where nothing comparable is."""
    if recorded is None or not is_comparable(recorded):
        return frozenset()
    return frozenset(name for name, hashed in declared.items() if recorded.get(name) != hashed)


def short(hashed: str) -> str:
    """A hash for a person."""
    return hashed.removeprefix(f"{SCHEME}:")[:8]


def changed(value: "DataclassInstance") -> dict[str, Any]:
    """The fields of a dataclass that are not at their default."""
    return {
        field.name: given for field in fields(value) if (given := getattr(value, field.name)) != field.default
    }


@lru_cache(maxsize=4096)
def syntax(text: str | None) -> Any:
    """An SQL expression as DuckDB's syntax tree: comments, blanks, brackets and the case of words are not in it.

    None of None. Raises ValueError where it is no expression.
    """
    if text is None:
        return None
    with scratch() as con:
        asked = "SELECT json_serialize_sql($1, skip_null := true, skip_empty := true, skip_default := true)"
        [(found,)] = con.execute(asked, [f"SELECT ({text}\n)"]).fetchall()
    tree = json.loads(found)
    if tree["error"]:
        raise ValueError(f"{text!r} is not an SQL expression ({tree['error_message']})")
    return _pruned(tree["statements"])


def _pruned(node: Any) -> Any:
    """The tree without where in the text things stand, its names in lower case as they mean the same."""
    if isinstance(node, list):
        return [_pruned(each) for each in node]
    if not isinstance(node, dict):
        return node
    lowered = ("column_names", "function_name", "path")
    return {
        key: json.loads(json.dumps(value).lower()) if key in lowered else _pruned(value)
        for key, value in node.items()
        if not key.startswith("query_location")
    }


def _said(value: Any) -> Any:
    """The value without what is None or empty in a mapping."""
    if isinstance(value, Mapping):
        said = {str(key): _said(each) for key, each in value.items()}
        return {key: each for key, each in said.items() if each is not None and each != {} and each != []}
    if isinstance(value, list | tuple):
        return [_said(each) for each in value]
    return value
