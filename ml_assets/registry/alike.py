"""Whether two versions are the same model: what a person withdrew stays withdrawn, under whatever number it comes back."""

from collections.abc import Callable, Mapping
from functools import cache

from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion_log import PromotionLog

Alike = Callable[[int, int], bool]
Tags = Mapping[str, str]
FILE = "model_sha256"
RECIPE = ("cutoff", "training_set", "config")
WITHDREW = "withdrew"
"""Under this name the line of a rollback says what the version it moved away from is."""


def alike(registry: Registry, log: PromotionLog) -> Alike:
    """Tells of two versions whether they are the same; asks the registry when two numbers are compared first.

    What a rollback withdrew is known by its line in the log, even if the registry has lost it since.
    """

    @cache
    def tags() -> dict[int, Tags]:
        withdrawn = {
            move.from_version: move.evidence[WITHDREW]
            for move in log.moves
            if move.from_version is not None and move.evidence and WITHDREW in move.evidence
        }
        return withdrawn | {version.number: version.tags for version in registry.versions(log.model)}

    return lambda one, other: one == other or is_same_model(tags().get(one, {}), tags().get(other, {}))


def is_same_model(one: Tags, other: Tags) -> bool:
    """Whether they have the same file, or the same training set, cutoff and configuration, by the tags of two versions.

    What is not on record is like nothing.
    """
    return _equal(one, other, [FILE]) or _equal(one, other, RECIPE)


def identity(tags: Tags) -> dict[str, str]:
    """The tags by which a version is known again."""
    return {name: tags[name] for name in (FILE, *RECIPE) if name in tags}


def _equal(one: Tags, other: Tags, names: list[str] | tuple[str, ...]) -> bool:
    return all(name in one and name in other and _plain(one[name]) == _plain(other[name]) for name in names)


def _plain(tag: str) -> str:
    """A tag without the name of a hash's scheme, which older ones lack."""
    return tag.rpartition(":")[2]
