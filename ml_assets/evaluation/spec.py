"""The gates' names, and what a policy asks of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_assets.training.target import Kind, Target

GATE_DESCRIPTIONS: dict[str, str] = {
    "holdout_is_honest": (
        "The holdout is later than everything both models know, its labels are mature, both models were "
        "scored on the same rows, and there are enough rows, of every class if labels are classes."
    ),
    "beats_baseline": "The candidate's metric reaches the floor and is above the baseline's beyond chance.",
    "not_worse_than_champion": (
        "On the same rows, by a paired bootstrap clustered by entity, the candidate is not worse than the "
        "champion by the margin or more (or is better, if the policy asks for that)."
    ),
    "slices_hold": "In no large slice does the candidate lose more than allowed to baseline or champion.",
    "is_calibrated": "The scores promise about as much as came.",
    "treats_groups_alike": (
        "Between the large groups of each declared column, true positive rates and selection rates are near each "
        "other; where nobody is selected by a score, the promise per what came is."
    ),
    "is_fast_and_small": "The model scores a row, and fits in a file, within its limits.",
    "reloads_and_predicts": (
        "A fresh process reads the model back from the registry, has the packages it was made with, and gives "
        "the scores the fitted model gave."
    ),
}
GATES: tuple[str, ...] = tuple(GATE_DESCRIPTIONS)
"""The gates' names, in the order they are judged and shown."""
MUST_HOLD = ("holdout_is_honest", "reloads_and_predicts")
"""The gates that may not be turned into warnings."""

Metric = Literal["auc", "average_precision", "r2", "skill"]

COMPARED_BY: dict[Kind, tuple[Metric, ...]] = {
    "binary": ("auc", "average_precision"),
    "regression": ("r2",),
    "multiclass": ("skill",),
}
"""What models of each kind of target may be compared by, higher is better; the first is the main one."""
METRIC_NAMES: dict[str, str] = {
    "auc": "AUC",
    "average_precision": "average precision",
    "r2": "r2",
    "skill": "skill",
}
"""How a sentence calls each of them."""
_FLOORS: dict[Metric, float] = {"auc": 0.55, "average_precision": 0.0, "r2": 0.0, "skill": 0.0}


class GatePolicy(BaseModel):
    """What the gates ask for. Differences and losses are absolute, in the metric."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: Metric | None = Field(
        None,
        description="What models are compared by: auc or average_precision of a binary target, r2 of a "
        "regression, skill of several classes. The first that fits by default.",
    )
    replace_if: Literal["not_worse", "better"] = Field(
        "not_worse", description="What the candidate must be, compared with the champion."
    )
    margin: float = Field(0.02, ge=0, lt=1, description="How much of the metric 'not worse' may cost.")
    minimum: float | None = Field(
        None,
        le=1,
        description="The floor of the candidate's metric: 0.55 for auc, 0 for the others by default.",
    )
    min_lift_over_baseline: float = Field(
        0.0, ge=0, lt=1, description="The lower bound of the difference to the baseline must exceed this."
    )
    calibration_ratio: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = Field(
        (0.7, 1.4), description="Lowest and highest mean score / mean label; of several classes, of each."
    )
    slice_minimum_n: int = Field(100, ge=1, description="Smaller slices and groups are shown but not judged.")
    slice_max_loss: float = Field(
        0.05, ge=0, le=1, description="What a slice may lose of the metric to baseline or champion."
    )
    equal_opportunity: float = Field(
        0.2, ge=0, le=1, description="Largest difference of true positive rates between groups."
    )
    disparate_impact: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Smallest ratio of selection rates between groups (the four-fifths rule); of other than "
        "binary targets, of mean score / mean label.",
    )
    max_latency_ms: float = Field(
        50.0, gt=0, description="Milliseconds a single row may take, at the median."
    )
    max_size_mb: float = Field(100.0, gt=0, description="Megabytes (10^6 bytes) the model's file may have.")
    minimum_rows: int = Field(200, ge=1, description="Rows the holdout needs.")
    minimum_positives: int = Field(
        20,
        ge=1,
        description="Rows with label 1, or of the rarest class, the holdout needs; and a group to be compared.",
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Level of the one-sided lower bounds.")
    draws: int = Field(2000, ge=100, description="Bootstrap draws.")
    seed: int = Field(7, ge=0, description="Seed of the bootstrap.")
    warn_only: tuple[str, ...] = Field(
        (), description="Gates whose failure warns and doesn't refuse. What can't be measured still refuses."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "GatePolicy":
        low, high = self.calibration_ratio
        if low >= high:
            raise ValueError(
                f"calibration_ratio is [lowest, highest] with lowest < highest, not [{low:g}, {high:g}]"
            )
        return self

    @model_validator(mode="after")
    def _warns_of_gates(self) -> "GatePolicy":
        may = [gate for gate in GATES if gate not in MUST_HOLD]
        for gate in self.warn_only:
            if gate not in may:
                why = "must always hold" if gate in MUST_HOLD else "is no gate"
                raise ValueError(f"warn_only: {gate} {why}; those that may only warn are {', '.join(may)}")
        return self

    def metric_of(self, target: Target) -> Metric:
        """The metric models of this target are compared by. Raises ValueError if the policy's doesn't fit it."""
        fitting = COMPARED_BY[target.kind]
        if self.metric is not None and self.metric not in fitting:
            raise ValueError(
                f"gates.metric: a {target.kind} target is compared by {' or '.join(fitting)}, not {self.metric}"
            )
        return self.metric or fitting[0]

    def floor(self, target: Target) -> float:
        """The least the candidate's metric may be."""
        return _FLOORS[self.metric_of(target)] if self.minimum is None else self.minimum
