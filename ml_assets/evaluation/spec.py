"""What is declared of an evaluation: by what models are compared, what mistakes cost, what the gates ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_assets.training.target import Kind, Target

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


class Costs(BaseModel):
    """What one row costs by what was decided and what came, in any unit; below 0 is a gain."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    true_positive: float = Field(0.0, description="Selected, and the label is 1.")
    false_positive: float = Field(1.0, description="Selected, and the label is 0.")
    false_negative: float = Field(1.0, description="Not selected, and the label is 1.")
    true_negative: float = Field(0.0, description="Not selected, and the label is 0.")

    @model_validator(mode="after")
    def _a_mistake_costs(self) -> "Costs":
        for mistake, right in (("false_positive", "true_negative"), ("false_negative", "true_positive")):
            wrong, best = getattr(self, mistake), getattr(self, right)
            if wrong <= best:
                raise ValueError(
                    f"a {mistake} costs more than a {right}, not {wrong:g} and {best:g}: "
                    "otherwise all rows, or none, would be selected whatever their score"
                )
        return self

    @property
    def threshold(self) -> float:
        """The probability from which selecting costs no more than not selecting (Elkan 2001, equation 2).

        (fp - tn) / (fp - tn + fn - tp), between 0 and 1.
        """
        harm = self.false_positive - self.true_negative
        return harm / (harm + self.false_negative - self.true_positive)


class Limits(BaseModel):
    """What the gates ask for. Differences and losses are absolute, in the metric."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

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
    too_good: float = Field(
        0.99,
        gt=0,
        le=1,
        description="From this metric on a leak is suspected, and a person is asked.",
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

    @model_validator(mode="after")
    def _ordered(self) -> "Limits":
        low, high = self.calibration_ratio
        if low >= high:
            raise ValueError(
                f"calibration_ratio is [lowest, highest] with lowest < highest, not [{low:g}, {high:g}]"
            )
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


@dataclass(frozen=True)
class Standard:
    """By what a candidate is measured and judged, as its model declares it."""

    target: Target
    entity: Sequence[str]
    """The columns that name an entity, whose rows are drawn together."""
    limits: Limits
    slices: Sequence[str] = ()
    """Columns in whose slices the candidate must hold."""
    groups: Sequence[str] = ()
    """Columns whose groups must be treated alike."""
    costs: Costs | None = None
    """They decide who counts as selected."""
    features: Sequence[str] = ()
    """Columns that the models read: a suspected leak is looked for in them."""

    @property
    def metric(self) -> Metric:
        """What models are compared by. Raises ValueError if the limits name a metric that doesn't fit the target."""
        return self.limits.metric_of(self.target)

    @property
    def metric_name(self) -> str:
        """The metric as a sentence calls it."""
        return METRIC_NAMES[self.metric]
