"""What a model's YAML says of it, in words for a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_assets.training.spec import Label
    from ml_assets.training.target import Target


@dataclass(frozen=True)
class DeclaredInWords:
    """What a model's YAML says today; ``config`` is its hash, as in the tag of versions trained from it."""

    name: str
    description: str
    owners: tuple[str, ...]
    target: str
    label: str
    population: str
    features: Mapping[str, str]
    """Feature column -> its meaning; empty where none is declared."""
    slices: tuple[str, ...]
    groups: tuple[str, ...]
    config: str
    definitions: Mapping[str, str] = field(default_factory=dict)
    """The hashes of what is declared, by the names that a version pins its own by."""


def label_in_words(label: "Label") -> str:
    """What is predicted, as a sentence."""
    when = f"in the {label.days} days from the as_of on"
    if label.absent is not None:
        return f"1 if no event with `{label.absent}` comes {when}, else 0"
    if label.occurs is not None:
        return f"1 if an event with `{label.occurs}` comes {when}, else 0"
    if label.count is not None:
        return f"how many events {'' if label.count == '*' else f'with `{label.count}` '}come {when}"
    if label.sum is not None:
        where = f" with `{label.where}`" if label.where else ""
        return f"the sum of `{label.sum}` over the events{where} {when}"
    return f"when the first event with `{label.time_to}` comes: {', '.join(label.target.classes)}"


def target_in_words(target: "Target") -> str:
    """The kind of number that is predicted."""
    if target.kind == "multiclass":
        return f"multiclass, of the ordered classes {', '.join(target.classes)}"
    return target.kind
