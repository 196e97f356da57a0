"""What a model's monitoring calls drift, loss and broken data, and when it retrains: one block of YAML."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class MonitoringPolicy(BaseModel):
    """What is watched for, and what is done about it. A day is one as_of, the moment of a prediction."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    share: float = Field(
        0.2, gt=0, le=1, description="The model's weight in moved features that breaches a day."
    )
    breaches: int = Field(2, ge=1, description="How many breached days make a drift,")
    of_last: int = Field(3, ge=1, description="among how many of the last days.")
    minimum_rows: int = Field(200, ge=1, description="A day with fewer rows is not judged.")
    psi_floor: float = Field(0.1, gt=0, description="The lowest threshold of a feature's PSI.")
    shift_floor: float = Field(
        0.1,
        gt=0,
        description="The lowest threshold of a number's shift, in training deviations (Wasserstein).",
    )
    unseen: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Share of values in categories unknown to training from which data is broken.",
    )
    implausible: float = Field(
        5.0, gt=0, description="A mean shift of more training deviations than this is broken data, not drift."
    )
    volume: tuple[float, float] = Field(
        (0.5, 2.0),
        description="Rows of a day below the first times the smallest, or above the second times the largest day of "
        "training, are broken data.",
    )
    worse_by: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="How much the normalised loss may grow before the model counts as worse.",
    )
    cool_down_days: int = Field(14, ge=0, description="Days after a promotion or a retrain without another.")
    max_age_days: int = Field(
        28,
        ge=7,
        description="Retrain regardless once a cutoff this much later than the champion's is mature.",
    )
    retrains_a_month: int = Field(4, ge=1, description="The most retrains within 30 days.")
    back_off_days: int = Field(
        7,
        ge=1,
        description="Days to wait after a rejected candidate; doubled with each further one in a row.",
    )
    rejections: int = Field(
        3, ge=1, description="Rejected candidates in a row after which a person is asked instead."
    )

    @model_validator(mode="after")
    def _reachable(self) -> "MonitoringPolicy":
        if self.breaches > self.of_last:
            raise ValueError(
                f"monitoring: {self.breaches} breaches can't lie in the last {self.of_last} days; "
                "give breaches a number of at most of_last"
            )
        low, high = self.volume
        if not 0 <= low < 1 < high:
            raise ValueError(
                f"monitoring: volume is [{low}, {high}]; give a number below 1, then one above 1"
            )
        return self
