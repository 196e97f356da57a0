"""What decisions cost, right and wrong."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Costs(BaseModel):
    """What one row costs by what was decided and what came, in any unit; below 0 is a gain."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
