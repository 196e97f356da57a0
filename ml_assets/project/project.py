"""The project as a whole: every source, feature group and model declared below one folder."""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import dagster as dg

from ml_assets.components.features.component import FeatureGroup, Group
from ml_assets.components.model.component import Bound, Model
from ml_assets.components.source.component import EventSource
from ml_assets.instance.home import CHECKOUT
from ml_assets.landing import Landing
from ml_assets.project.source import Source


@dataclass(frozen=True)
class Project:
    """The component tree of a defs module such as ``ml_assets.defs``."""

    module: str

    @cached_property
    def tree(self) -> dg.ComponentTree:
        """Dagster's component tree of the module."""
        return dg.ComponentTree.from_module(import_module(self.module), CHECKOUT)

    @cached_property
    def folder(self) -> Path:
        """The folder of the module."""
        return Path(next(iter(import_module(self.module).__path__)))

    @cached_property
    def _components(self) -> dict[str, dg.Component]:
        folders = sorted(path.parent for path in self.folder.glob("*/defs.yaml"))
        return {folder.name: self.tree.load_component(folder) for folder in folders}

    @cached_property
    def sources(self) -> dict[str, tuple[Source, Landing]]:
        """Every source with its landing."""
        return {
            name: (component.bind(self.folder / name), component.landing.of(name))
            for name, component in self._components.items()
            if isinstance(component, EventSource)
        }

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Every feature group."""
        return {
            name: component.bind(
                self.folder / name, {source: self.sources[source][0] for source in component.source_names}
            )
            for name, component in self._components.items()
            if isinstance(component, FeatureGroup)
        }

    @cached_property
    def models(self) -> dict[str, Bound]:
        """Every model."""
        return {
            name: component.bind(name, self.groups[component.features])
            for name, component in self._components.items()
            if isinstance(component, Model)
        }
