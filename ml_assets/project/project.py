"""The project as a whole: every source, feature group and model declared below one folder, read from YAML."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from ml_assets.lake.schema import Schema
from ml_assets.project.declared import (
    FILE,
    Declaration,
    DeclarationError,
    Declared,
    check_bounds,
    declaration,
    line_of,
    located,
)
from ml_assets.project.group import Group, GroupSpec
from ml_assets.project.model import DeclaredModel, ModelSpec
from ml_assets.project.source import Source, SourceSpec

COMPONENTS: Mapping[str, type[Declared]] = {
    "ml_assets.components.EventSource": SourceSpec,
    "ml_assets.components.FeatureGroup": GroupSpec,
    "ml_assets.components.Model": ModelSpec,
}
"""The component types of this package, by the name a ``defs.yaml`` gives them, and what each declares."""
Spec = TypeVar("Spec", bound=Declared)


@dataclass(frozen=True)
class Project:
    """What the ``defs.yaml`` files in the folders of ``folder`` declare."""

    folder: Path
    module: str = ""
    """The Python module of the folder, by which Dagster loads it; empty where only the folder is known."""

    @classmethod
    def of(cls, module: str) -> "Project":
        """The project of a module such as ``ml_assets.defs``. Raises DeclarationError if there is no such folder."""
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None or not found.submodule_search_locations:
            raise DeclarationError(
                f"{module} is no folder of Python modules; name one that holds the defs.yaml files"
            )
        return cls(Path(next(iter(found.submodule_search_locations))), module)

    @classmethod
    def current(cls) -> "Project":
        """The project that the variable ML_ASSETS_DEFS names, by default the one in this package."""
        return cls.of(os.environ.get("ML_ASSETS_DEFS", "ml_assets.defs"))

    def check_bounds(self) -> None:
        """Raise DeclarationError for a ``defs.yaml`` that nobody should build from: Dagster reads them by itself."""
        for path in sorted(self.folder.glob("*/defs.y*ml")):
            check_bounds(path)

    @cached_property
    def _declarations(self) -> dict[str, Declaration]:
        folders = sorted(path.parent for path in self.folder.glob("*/defs.y*ml"))
        found = {folder.name: declared for folder in folders if (declared := declaration(folder))}
        for declared in found.values():
            _kind(declared)
        return found

    def _specs(self, kind: type[Spec]) -> dict[str, Spec]:
        return {
            name: declared.spec(kind)
            for name, declared in self._declarations.items()
            if _kind(declared) is kind
        }

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every source."""
        return {name: spec.bind(self.folder / name) for name, spec in self._specs(SourceSpec).items()}

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Every feature group."""
        return {name: self.group(name, spec) for name, spec in self._specs(GroupSpec).items()}

    @cached_property
    def models(self) -> dict[str, DeclaredModel]:
        """Every model."""
        return {name: self.model(name, spec) for name, spec in self._specs(ModelSpec).items()}

    @property
    def schemas(self) -> dict[str, Schema]:
        """Every table of the project by its name in the lake: of sources, feature groups and models, in this order."""
        declared: list[Source | Group | DeclaredModel] = [
            *self.sources.values(),
            *self.groups.values(),
            *self.models.values(),
        ]
        return {f"{each.name}/{name}": schema for each in declared for name, schema in each.schemas.items()}

    def check(self) -> None:
        """Bind all that is declared. Raises DeclarationError or ContractError with the line of what is wrong.

        Nothing declared at all is wrong, too.
        """
        if not self._declarations:
            raise DeclarationError(
                f"no folder of {self.folder} has a defs.yaml, so there is nothing to build; add a folder per source, "
                "feature group and model, or name the module that holds them in ML_ASSETS_DEFS"
            )
        _ = self.sources, self.groups, self.models

    def group(self, name: str, spec: GroupSpec) -> Group:
        """The feature group that ``spec`` declares in the folder ``name``. Raises DeclarationError."""
        folder = self.folder / name
        sources = {
            source: self._beside(name, source, SourceSpec).bind(self.folder / source)
            for source in spec.source_names
        }
        models = tuple(
            other
            for other, declared in self._declarations.items()
            if declared.attributes.get("features") == name
        )
        with located(folder):
            return spec.bind(folder, sources, models)

    def model(self, name: str, spec: ModelSpec) -> DeclaredModel:
        """The model that ``spec`` declares in the folder ``name``. Raises DeclarationError."""
        group = self.group(spec.features, self._beside(name, spec.features, GroupSpec))
        with located(self.folder / name):
            return spec.bind(name, group)

    def _beside(self, name: str, other: str, kind: type[Spec]) -> Spec:
        """What the folder ``other`` declares, to which ``name`` refers. Raises DeclarationError if it isn't of ``kind``."""
        found = self._declarations.get(other)
        if found is not None and _kind(found) is kind:
            return found.spec(kind)
        wanted = next(type_.rpartition(".")[2] for type_, spec in COMPONENTS.items() if spec is kind)
        fitting = [n for n, declared in self._declarations.items() if _kind(declared) is kind]
        near = get_close_matches(other, fitting, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fitting) or 'none'}"
        file = self.folder / name / FILE
        raise DeclarationError(
            f"{file}:{line_of(file, other)}: there is no {wanted} in a folder {other} beside it; {hint}"
        )


def _kind(declared: Declaration) -> type[Declared] | None:
    """What it declares; None for a component that is none of ours. Raises DeclarationError if there is no such type.

    A type of one's own that derives from one of ours is looked up, which loads Dagster.
    """
    if declared.component in COMPONENTS or declared.component.startswith("dagster"):
        return COMPONENTS.get(declared.component)
    module, _, name = declared.component.rpartition(".")
    try:
        found = getattr(import_module(module), name, None) if module else None
    except ImportError:
        found = None
    if found is None:
        near = get_close_matches(declared.component, COMPONENTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMPONENTS)}"
        raise DeclarationError(
            f"{declared.path}:{line_of(declared.path, declared.component)}: there is no component "
            f"{declared.component}; {hint}"
        )
    declares = getattr(found, "declares", None)
    return declares if isinstance(declares, type) and issubclass(declares, Declared) else None
