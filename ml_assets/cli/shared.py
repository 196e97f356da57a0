"""What commands share: names and their completion, options, and a model with its book."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ml_assets.cli import show
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.lake import Between, Lake
    from ml_assets.project.model import DeclaredModel
    from ml_assets.project.project import Project
    from ml_assets.project.source import Source
    from ml_assets.registry.book import Book
    from ml_assets.registry.facts import ModelFacts
    from ml_assets.registry.mlflow_registry import Version


def group(text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=text, no_args_is_help=True, pretty_exceptions_enable=False)


def _names(kind: str, incomplete: str) -> list[str]:
    """The names of the project's sources, groups or models that begin so, for a shell; none if it can't be read."""
    from ml_assets.operations.opened import project

    try:
        found: Mapping[str, object] = getattr(project(), kind)
    except Exception:
        return []
    return [name for name in found if name.startswith(incomplete)]


def _sources(incomplete: str) -> list[str]:
    return _names("sources", incomplete)


def _groups(incomplete: str) -> list[str]:
    return _names("groups", incomplete)


def _models(incomplete: str) -> list[str]:
    return _names("models", incomplete)


SourceName = Annotated[str, typer.Argument(metavar="SOURCE", autocompletion=_sources, help="Its name.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", autocompletion=_models, help="Its name.")]
MaybeModel = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", autocompletion=_models, help="One model (default: all).")
]
GroupOption = Annotated[
    str | None,
    typer.Option(
        "--group", metavar="GROUP", autocompletion=_groups, help="The feature group (default: the only one)."
    ),
]
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]
Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DAY", help="YYYY-MM-DD.")]


def day_option(name: str, text: str) -> object:
    """An option that takes a day."""
    return typer.Option(name, formats=["%Y-%m-%d"], metavar="DAY", help=f"{text}, YYYY-MM-DD.")


From = Annotated[datetime | None, day_option("--from", "First day")]
To = Annotated[datetime | None, day_option("--to", "Last day")]
Cutoffs = Annotated[
    int, typer.Option("--cutoffs", min=1, metavar="N", help="How many of the newest cutoffs to train.")
]


def known(kind: str, name: str, names: Collection[str]) -> str:
    """``name``, if it is one of ``names``. Raises Refusal with the nearest one, or all there are."""
    if name in names:
        return name
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"
    raise Refusal(f"there is no {kind} {name}; {hint}")


def span(start: datetime | None, end: datetime | None) -> "Between | None":
    """A range of days with open ends; None for all."""
    if start is None and end is None:
        return None
    return (start or datetime.min).date(), (end or datetime.max).date()


def source_of(project: "Project", name: str) -> "Source":
    """One of the project's sources. Raises Refusal."""
    return project.sources[known("source", name, project.sources)]


@dataclass(frozen=True)
class Opened:
    """A model with its book."""

    model: "DeclaredModel"
    lake: "Lake"
    book: "Book"

    def version(self, number: int) -> "Version":
        """A version. Raises Refusal with those there are."""
        found = {v.number: v for v in self.book.registry.versions(self.model.name)}
        if number not in found:
            listed = ", ".join(map(str, sorted(found))) or "none: materialize a candidate first"
            raise Refusal(f"{self.model.name} has no version {number}; there are {listed}")
        return found[number]

    def facts(self, number: int) -> "ModelFacts":
        """What is on record about a version."""
        from ml_assets.pipeline.facts import facts

        return facts(self.book, self.model, self.lake, self.version(number))


@contextmanager
def opened(name: str, models: "Mapping[str, DeclaredModel] | None" = None) -> Iterator[Opened]:
    """One of the ``models`` (the project's) by name. Raises Refusal where there is none, or nothing is trained yet."""
    from ml_assets.instance import home
    from ml_assets.lake import connect
    from ml_assets.operations.opened import lake, project, registry
    from ml_assets.pipeline.book import book_of
    from ml_assets.registry.aliases import repair

    models = project().models if models is None else models
    model = models[known("model", name, models)]
    if not home.has_registry():
        raise Refusal(f"no model has been trained in {home.data()} yet: ml-assets materialize")
    for said in repair(lake(), registry()):
        show.note(f"note: {said}")
    with connect() as con:
        yield Opened(model, lake(), book_of(con, model, lake(), registry()))
