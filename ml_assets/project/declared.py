"""Errors in a declaration, with the file and line they are about; and references between declarations."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import dagster as dg

from ml_assets.features.errors import FeatureError

Kind = TypeVar("Kind", bound=dg.Component)


class DeclarationError(ValueError):
    """A ``defs.yaml`` that can't be built: file, line, what was found and what would do."""


@contextmanager
def located(folder: Path) -> Iterator[None]:
    """Turn a FeatureError into one that names the line of the folder's ``defs.yaml``."""
    try:
        yield
    except FeatureError as error:
        file = folder / "defs.yaml"
        raise DeclarationError(f"{file}:{_line(file, error.found)}: {error}") from error


def _line(file: Path, found: str) -> int:
    """The first line, counted from 1, with the text as whole words and not in a comment; else 1."""
    words = re.compile(rf"(?<!\w){re.escape(found)}(?!\w)") if found else None
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if words and words.search(line.split(" #")[0]) and not line.lstrip().startswith("#"):
            return number
    return 1


def declared_with(folder: Path, key: str, value: str) -> list[str]:
    """The folders beside ``folder`` whose ``defs.yaml`` gives an attribute a value, in order."""
    import yaml

    found = []
    for path in sorted(folder.parent.glob("*/defs.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and (document.get("attributes") or {}).get(key) == value:
                found.append(path.parent.name)
    return found


def referred(context: dg.ComponentLoadContext, folder: Path, name: str, kind: type[Kind]) -> Kind:
    """The component in the folder ``name`` beside ``folder``. Raises DeclarationError if there is none."""
    if not (folder.parent / name / "defs.yaml").is_file():
        others = sorted(
            path.parent.name for path in folder.parent.glob("*/defs.yaml") if path.parent != folder
        )
        near = get_close_matches(name, others, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(others) or 'none'}"
        file = folder / "defs.yaml"
        raise DeclarationError(
            f"{file}:{_line(file, name)}: there is no {kind.__name__} in a folder {name} beside it; {hint}"
        )
    return context.load_component(folder.parent / name, kind)
