"""What kind of number a model predicts, and so how it is fitted, scored and judged."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["binary", "regression", "multiclass"]


@dataclass(frozen=True)
class Target:
    """The kind of a label, and the names of its classes in the order of their numbers.

    A label is 0 or 1 (binary), any finite number (regression), or 0 to len(classes) - 1 (multiclass, where the
    classes are ordered). A score is the expected label: the probability of 1, the expected amount, the mean class.
    """

    kind: Kind
    classes: tuple[str, ...] = ()

    @property
    def is_classes(self) -> bool:
        """Whether labels are classes, with a probability each."""
        return self.kind != "regression"


BINARY = Target("binary", ("0", "1"))
REGRESSION = Target("regression")
