"""What a model's YAML says under ``gates``."""

from pydantic import Field, model_validator

from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.spec import Limits


class GatePolicy(Limits):
    """What the gates ask for. Differences and losses are absolute, in the metric."""

    warn_only: tuple[str, ...] = Field(
        (), description="Gates whose failure warns and doesn't refuse. What can't be measured still refuses."
    )

    @model_validator(mode="after")
    def _warns_of_gates(self) -> "GatePolicy":
        known = {gate.name for gate in GATES}
        may = [gate.name for gate in GATES if gate.may_only_warn]
        for name in self.warn_only:
            if name not in may:
                why = "must always hold" if name in known else "is no gate"
                raise ValueError(f"warn_only: {name} {why}; those that may only warn are {', '.join(may)}")
        return self
