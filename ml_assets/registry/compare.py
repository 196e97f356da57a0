"""What differs between two versions of a model, by what is on record."""

from collections.abc import Mapping
from dataclasses import dataclass

from ml_assets.lake.definition import short
from ml_assets.registry.facts import ModelFacts

UNKNOWN = "not recorded"


@dataclass(frozen=True)
class VersionDifference:
    """One thing that differs: of which kind, what, and how it is in either version."""

    kind: str
    what: str
    first: str
    second: str


def differences(first: ModelFacts, second: ModelFacts) -> list[VersionDifference]:
    """Everything that differs, in the order: config, parameters, features, inputs, training, metrics, code.

    What is recorded of one version only differs too; what is recorded of neither is not known to.
    """
    mine, others = _flat(first), _flat(second)
    found = []
    for kind in mine:
        for what in dict.fromkeys([*mine[kind], *others[kind]]):
            pair = [facts[kind].get(what, _absent(kind, facts)) for facts in (mine, others)]
            if pair[0] != pair[1]:
                found.append(VersionDifference(kind, what, *pair))
    return found


def _absent(kind: str, facts: Mapping[str, Mapping[str, str]]) -> str:
    """How something is in a version that doesn't have it, where others of its kind are known."""
    return "not used" if kind in ("feature", "input") and facts[kind] else UNKNOWN


def _flat(facts: ModelFacts) -> dict[str, Mapping[str, str]]:
    hashes = facts.hashes
    return {
        "config": {k: v for k, v in hashes.items() if k == "config"}
        | ({"target": facts.target} if facts.target else {}),
        "parameter": facts.parameters,
        "feature": {name: _used(facts, name) for name in facts.features},
        "input": {table: f"version {version}" for table, version in facts.inputs.items()},
        "training": {"cutoff": str(facts.cutoff or UNKNOWN)}
        | {k: v for k, v in hashes.items() if k == "training set"}
        | dict(facts.training),
        "metric": {name: number(value) for name, value in facts.own_metrics.items()},
        "decision": {"gates": facts.decision} | {str(row["gate"]): str(row["status"]) for row in facts.gates},
        "code": {k: v for k, v in hashes.items() if k in ("commit", "uncommitted changes", "lock file")},
        "machine": facts.machine,
    }


def _used(facts: ModelFacts, name: str) -> str:
    """That a feature is used, and by which definition where that is on record."""
    return f"definition {short(facts.definitions[name])}" if name in facts.definitions else "used"


def number(value: object) -> str:
    """A metric as text: counts whole, the rest to four digits, undefined as such."""
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return "undefined" if value != value else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
