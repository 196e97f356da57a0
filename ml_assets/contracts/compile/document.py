"""A YAML document that remembers where everything stands, checked against the standard's JSON schema."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ml_assets.contracts.compile.yaml_text import (
    BoundlessYaml,
    YamlLoader,
    check_size,
    is_odd_number,
    misread,
    open_yaml,
)
from ml_assets.contracts.errors import ContractError, nearest

Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain data and the line and column (from 1) of every key and item, by its path in the data."""

    path: Path
    data: dict[str, Any]
    marks: dict[Where, tuple[int, int]]
    misread: dict[Where, str]
    """What stands without quotes and isn't what YAML reads: ``NO, which YAML reads as false``, by its path."""

    def error(self, where: Where, message: str) -> ContractError:
        """An error at a place; a place that isn't written is blamed on what would hold it."""
        while where and where not in self.marks:
            where = where[:-1]
        line, column = self.marks.get(where, (1, 1))
        return ContractError(self.path, message, line, column)

    def check_keys(self, where: Where, value: dict[str, Any], known: Collection[str], what: str) -> None:
        """Refuse a key that the standard doesn't have."""
        for key in value:
            if key not in known:
                message = f"{what} has no key {key!r} in the Open Data Contract Standard{nearest(key, known)}"
                raise self.error((*where, key), message)


def parse(path: Path, content: bytes) -> Document:
    """Parse a YAML file; ContractError where it isn't YAML, repeats a key or isn't a mapping."""
    try:
        loader = open_yaml(content.decode("utf-8-sig"))
        root = loader.get_single_node()
        if root is not None:
            check_size(root)
    except UnicodeDecodeError as error:
        raise ContractError(path, f"the file isn't UTF-8 text ({error}); save it as UTF-8") from error
    except BoundlessYaml as error:
        raise ContractError(path, error.message, error.line, 1) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"the file isn't YAML: {error.problem}; check the indentation, colons and quotes here"
        raise ContractError(path, message, line, column) from error
    except yaml.YAMLError as error:
        raise ContractError(path, f"the file isn't YAML: {error}") from error
    marks: dict[Where, tuple[int, int]] = {}
    words: dict[Where, str] = {}
    data = None if root is None else _plain(path, loader, root, (), marks, words)
    if not isinstance(data, dict):
        message = "a mapping of keys such as apiVersion, kind, id, version and schema is expected"
        raise ContractError(path, message, *marks.get((), (1, 1)))
    return Document(path, data, marks, words)


def _plain(
    path: Path,
    loader: YamlLoader,
    node: yaml.Node,
    where: Where,
    marks: dict[Where, tuple[int, int]],
    words: dict[Where, str],
) -> Any:
    marks.setdefault(where, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if key in result:
                message = f"the key {key!r} is here a second time; keep one of the two"
                raise ContractError(path, message, line, column)
            marks[(*where, key)] = (line, column)
            result[key] = _plain(path, loader, value_node, (*where, key), marks, words)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, loader, item, (*where, at), marks, words) for at, item in enumerate(node.value)]
    value = loader.construct_object(node)
    if word := misread(node, value):
        if isinstance(value, int | float) and is_odd_number(node.value):
            raise ContractError(path, f"found {word}; put it in quotes, or write the number", *marks[where])
        words[where] = word
    return value


@cache
def standard() -> dict[str, Any]:
    """The JSON schema of the Open Data Contract Standard v3.2.0."""
    schema: dict[str, Any] = json.loads(
        files("open_data_contract_standard").joinpath("schema.json").read_text()
    )
    return schema


def known_keys(*definitions: str) -> set[str]:
    """The keys that some definitions of the standard know together; no definition means the top level."""
    if not definitions:
        return set(standard()["properties"])
    return {key for name in definitions for key in standard()["$defs"][name]["properties"]}


def check_schema(document: Document) -> None:
    """Validate against the standard; ContractError for the deepest thing that is wrong."""
    if _follows_standard(document.data):
        return
    # Only jsonschema weighs which of several errors to name; asking it takes five times as long.
    from jsonschema import Draft201909Validator
    from jsonschema.exceptions import best_match

    errors = list(Draft201909Validator(standard()).iter_errors(document.data))
    # One wrong value makes all keys beside it "unevaluated", which says nothing of what is wrong.
    error = best_match([e for e in errors if e.validator != "unevaluatedProperties"] or errors)
    if error is None:
        return
    where: Where = tuple(error.absolute_path)
    found = error.instance
    if error.validator in ("additionalProperties", "unevaluatedProperties") and isinstance(found, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        extra = next((key for key in found if key not in known), None)
        if known and extra is not None:
            message = f"the key {extra!r} isn't in the Open Data Contract Standard{nearest(extra, known)}"
            raise document.error((*where, extra), message)
    name = f"{where[-1]!r}: " if where and isinstance(where[-1], str) else ""
    if error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value]
        raise document.error(where, f"{name}found {found!r}{nearest(found, choices)}")
    if error.validator == "type":
        kinds = error.validator_value
        kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
        quotes = "; put it in quotes" if kind == "string" and not isinstance(found, dict | list) else ""
        shown = document.misread.get(where, repr(found))
        raise document.error(where, f"{name}found {shown}, a {kind} is expected{quotes}")
    raise document.error(where, f"{name}{error.message} (Open Data Contract Standard v3.2.0)")


def _follows_standard(data: dict[str, Any]) -> bool:
    import jsonschema_rs

    try:
        return jsonschema_rs.Draft201909Validator(standard()).is_valid(data)
    except ValueError:  # bytes and sets, which YAML has and JSON hasn't
        return False
