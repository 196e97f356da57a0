"""What a ``defs.yaml`` declares, read without Dagster; and errors in it, with the file and line they are about."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from ml_assets.contracts.compile.yaml_text import BoundlessYaml, check_size, misread, open_yaml, second_key
from ml_assets.features.errors import FeatureError

FILE = "defs.yaml"
OURS = "ml_assets.components."
"""What the types of this package's components begin with."""


class DeclarationError(ValueError):
    """A ``defs.yaml`` that can't be built: file, line, what was found and what would do."""


def _day(given: object) -> date:
    if isinstance(given, date):
        return given
    try:
        return date.fromisoformat(str(given))
    except ValueError:
        raise ValueError(f"a day is written YYYY-MM-DD, not {given!r}") from None


Day = Annotated[date, BeforeValidator(_day)]
"""A day, as YYYY-MM-DD."""


class Declared(BaseModel):
    """The attributes of one ``defs.yaml``. ``{{ env.NAME }}`` in a text stands for an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _rendered(cls, given: object) -> object:
        return _rendered(given)


Spec = TypeVar("Spec", bound=Declared)


def _rendered(given: Any) -> Any:
    if isinstance(given, str) and "{{" in given:
        from jinja2 import Environment, StrictUndefined, TemplateError

        try:
            return Environment(undefined=StrictUndefined).from_string(given).render(env=_Environment())
        except TemplateError as error:
            raise ValueError(
                f"{given}: {error}; a template may use env.NAME and env('NAME', 'default')"
            ) from None
    if isinstance(given, Mapping):
        return {key: _rendered(value) for key, value in given.items()}
    if isinstance(given, list):
        return [_rendered(value) for value in given]
    return given


class _Environment:
    """Environment variables for templates: ``env.NAME``, or ``env('NAME', 'default')``."""

    def __call__(self, name: str, default: str | None = None) -> str:
        value = os.environ.get(name, default)
        if value is None:
            raise ValueError(
                f"the environment variable {name} is not set; set it, or give a default: env({name!r}, ...)"
            )
        return value

    def __getattr__(self, name: str) -> str:
        if name.startswith(("__", "jinja")):
            raise AttributeError(name)
        return self(name)


@dataclass(frozen=True)
class Declaration:
    """One ``defs.yaml``: the type of component it names and its attributes, as they are written."""

    path: Path
    component: str
    attributes: Mapping[str, Any]
    node: yaml.Node

    def spec(self, kind: type[Spec]) -> Spec:
        """The attributes as a spec. Raises DeclarationError with the line of everything that is wrong."""
        try:
            return kind.model_validate(self.attributes)
        except ValidationError as error:
            found = [
                f"{self.path}:{self.line(e['loc'])}: {_at(e['loc'])}{self._said(e, kind)}"
                for e in error.errors()
            ]
            raise DeclarationError("\n".join(found)) from None

    def line(self, where: Sequence[str | int]) -> int:
        """The line, counted from 1, of a place in the attributes; of what would hold it if it isn't written."""
        return self._found(where)[1] + 1

    def _said(self, error: Any, kind: type[BaseModel]) -> str:
        """The error in words; where a text is expected, with what YAML has made of it."""
        word = misread(self._found(error["loc"])[0], error["input"])
        if error["type"] == "string_type" and word:
            return f"found {word}, a text is expected; put it in quotes"
        return _said(error, kind)

    def _found(self, where: Sequence[str | int]) -> tuple[yaml.Node, int]:
        """The node at a place in the attributes, or the last one on the way to it, and its line, from 0."""
        node, line = self.node, self.node.start_mark.line
        for part in ("attributes", *where):
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == part), None)
                if found is not None:
                    node, line = found[1], found[0].start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
        return node, line


def _at(where: Sequence[str | int]) -> str:
    """A place in the attributes as words before what is said of it; nothing for all of them."""
    return f"{'.'.join(map(str, where))}: " if where else ""


def _said(error: Any, kind: type[BaseModel]) -> str:
    """The error in words; for an unknown key of the top, the nearest one there is."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        near = get_close_matches(key, kind.model_fields, n=1) if len(error["loc"]) == 1 else []
        return f"there is no such key{f'; did you mean {near[0]}?' if near else ''}"
    return message


def declaration(folder: Path) -> Declaration | None:
    """What the ``defs.yaml`` of a folder declares, or None where there is none. Raises DeclarationError."""
    path, other = folder / FILE, folder / "defs.yml"
    if other.exists():
        raise DeclarationError(
            f"{other}:1: Dagster reads this file, and commands read {FILE}: rename it to {FILE}"
        )
    if not path.exists():
        return None
    if not re.fullmatch(r"\w+", folder.name, re.ASCII):
        raise DeclarationError(
            f"{path}:1: the folder {folder.name!r} names assets and their group, so it has letters, digits and _ alone; "
            "rename it"
        )
    state = path.stat()
    return _parsed(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1024)
def _parsed(path: Path, changed_ns: int, size: int) -> Declaration:
    documents = list(_documents(path))
    ours = [d for d in documents if d.component.startswith(OURS)] or documents
    if not documents or len([d for d in documents if d.component.startswith(OURS)]) > 1:
        raise DeclarationError(
            f"{path}:1: one component is expected, `type:` with its name and a mapping `attributes:`; another one has a "
            "folder of its own"
        )
    return ours[0]


def _documents(path: Path) -> Iterator[Declaration]:
    with _in_words(path):
        loader = open_yaml(path.read_text(encoding="utf-8-sig"))
        while loader.check_node():
            node = loader.get_node()
            check_size(node)
            if second := second_key(node):
                raise DeclarationError(
                    f"{path}:{second.start_mark.line + 1}: the key {second.value!r} is here a second time; keep one of "
                    "the two"
                )
            value = loader.construct_document(node)
            attributes = value.get("attributes", {}) if isinstance(value, dict) else None
            if not isinstance(attributes, dict) or not isinstance(value.get("type"), str):
                raise DeclarationError(
                    f"{path}:{node.start_mark.line + 1}: `type:` with the name of a component, and a mapping "
                    "`attributes:`, are expected"
                )
            yield Declaration(path, value["type"], attributes, node)


def check_bounds(path: Path) -> None:
    """Raise DeclarationError for a file that is too large to build, its aliases written out, or isn't YAML.

    For who has it read by others, such as Dagster, which unfold whatever it says.
    """
    with _in_words(path):
        loader = open_yaml(path.read_text(encoding="utf-8-sig"))
        while loader.check_node():
            check_size(loader.get_node())


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file as YAML into an error that names it and the line."""
    try:
        yield
    except BoundlessYaml as error:
        raise DeclarationError(f"{path}:{error.line}: {error.message}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(
            f"{path}:{line}: the file isn't YAML: {error.problem}; check the indentation, colons and quotes here"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError, RecursionError) as error:
        raise DeclarationError(f"{path}:1: the file isn't YAML in UTF-8: {error}; save it as such") from None


@contextmanager
def located(folder: Path) -> Iterator[None]:
    """Turn a FeatureError into one that names the line of the folder's ``defs.yaml``."""
    try:
        yield
    except FeatureError as error:
        file = folder / FILE
        raise DeclarationError(f"{file}:{line_of(file, error.found)}: {error}") from error


def line_of(file: Path, found: str) -> int:
    """The first line, counted from 1, with the text as whole words and not in a comment; else 1."""
    words = re.compile(rf"(?<!\w){re.escape(found)}(?!\w)") if found else None
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if words and words.search(line.split(" #")[0]) and not line.lstrip().startswith("#"):
            return number
    return 1
