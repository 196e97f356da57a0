"""What made the rows of a commit, as the commit itself says it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ml_assets.lake.definition import Definitions

KEY = "provenance"
"""Where a commit keeps it: one JSON object under one key."""
OLDER_FACTS = ("contract", "pseudonym_key", "model_version", "action", "who", "why", "before")
"""What older commits say under keys of their own, beside ``run``, ``asset`` and ``inputs``."""


@dataclass(frozen=True)
class Provenance:
    """What made a commit's rows; what is empty isn't known, or doesn't apply."""

    run: str = ""
    """The id of Dagster's run."""
    asset: str = ""
    """The keys of the assets the run was about, separated by blanks."""
    code: str = ""
    """The git commit of the code, with ``+changes`` where there were uncommitted ones."""
    inputs: Mapping[str, int] = field(default_factory=dict)
    """The versions of the tables that were read: table -> version."""
    definitions: Definitions = field(default_factory=dict)
    """The hashes of what was declared and the rows follow: its name -> hash."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else belongs to the rows: the contract's hash, the model's version, who decided and why."""

    def saying(self, **facts: str) -> "Provenance":
        """The same, with further facts."""
        return replace(self, facts={**self.facts, **facts})

    def following(self, definitions: Definitions) -> "Provenance":
        """The same, of rows that follow what is declared."""
        return replace(self, definitions=definitions)

    def as_metadata(self) -> dict[str, str]:
        """As a commit carries it."""
        said = {name: value for name, value in asdict(self).items() if value}
        return {KEY: json.dumps(said, sort_keys=True)} if said else {}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Provenance":
        """From a commit's metadata, of today's version or an older one's."""
        if KEY in entry:
            return cls(**json.loads(entry[KEY]))
        return cls(
            run=entry.get("run", ""),
            asset=entry.get("asset", ""),
            inputs={name: int(version) for name, version in json.loads(entry.get("inputs", "{}")).items()},
            facts={name: entry[name] for name in OLDER_FACTS if name in entry},
        )
