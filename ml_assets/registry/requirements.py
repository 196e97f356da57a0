"""What a predictor needs: the packages that the project's code imports to score with it, and what those require.

All that is imported would be too much: libraries try to import others that they can do without.
"""

import builtins
import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "ml_assets"


class ImportWatch:
    """Notes from which packages the project's code imports something, from the moment it is installed.

    The project's code is this package, what no distribution has, and the packages named as its ``own``.
    """

    def __init__(self) -> None:
        self.own = {PROJECT}
        self._seen: set[tuple[str, str]] = set()

    def install(self) -> None:
        """See every import of this process, by statement or by ``importlib.import_module``, until it ends."""
        statement, call = builtins.__import__, importlib.import_module

        def import_(
            name: str,
            globals: Mapping[str, object] | None = None,
            locals: Mapping[str, object] | None = None,
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> ModuleType:
            if level == 0:
                self._note(name, globals or {})
            return statement(name, globals, locals, fromlist or (), level)

        def import_module(name: str, package: str | None = None) -> ModuleType:
            self._note(name, sys._getframe(1).f_globals)
            return call(name, package)

        builtins.__import__ = import_
        importlib.import_module = import_module

    def _note(self, name: str, importer: Mapping[str, Any]) -> None:
        self._seen.add((name, str(importer.get("__name__", "")).partition(".")[0]))

    @property
    def imported(self) -> set[str]:
        """The modules that the project's code has imported."""
        others = {*_installed(), *sys.stdlib_module_names, ""} - self.own
        return {name for name, importer in self._seen if importer not in others}


def pins_of(modules: Iterable[str]) -> tuple[str, ...]:
    """``name==version`` of the distributions that have these modules, and of what they require, in order.

    Modules of the standard library and of the project's own code have none: a version's commit says what that was.
    """
    found: set[str] = set()
    todo = [name for module in modules for name in _having(module)]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _required(name)
    return tuple(f"{distribution(name).name}=={distribution(name).version}" for name in sorted(found))


@cache
def _installed() -> Mapping[str, Sequence[str]]:
    """Top-level package -> the distributions that have a part of it. Takes a third of a second to find out."""
    return packages_distributions()


def _having(module: str) -> set[str]:
    """The distribution that has a module; of several that share its package, the one with its file."""
    package = module.partition(".")[0]
    names: set[str] = {
        canonicalize_name(name) for name in _installed().get(package, ()) if package != PROJECT
    }
    if len(names) < 2:
        return names
    file = getattr(sys.modules.get(module), "__file__", None)
    return {name for name in names if file in _files(name)}


@cache
def _files(name: str) -> frozenset[str]:
    return frozenset(str(file.locate()) for file in distribution(name).files or ())


def _required(name: str) -> list[str]:
    """What a distribution requires here, by name, without its extras and without what isn't installed."""
    found: list[str] = []
    for requirement in map(Requirement, distribution(name).requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                distribution(requirement.name)
            except PackageNotFoundError:
                continue
            found.append(canonicalize_name(requirement.name))
    return found
