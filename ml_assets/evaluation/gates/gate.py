"""What a gate is, what it looks at, and how it says what it found."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ml_assets.evaluation.facts import Served
from ml_assets.evaluation.spec import Limits, Standard

if TYPE_CHECKING:
    from ml_assets.evaluation.arrays import Floats
    from ml_assets.evaluation.bootstrap import Interval
    from ml_assets.evaluation.measured import Measured

Status = Literal["PASS", "WARN", "FAIL", "NOT EVALUATED"]


@dataclass(frozen=True)
class Finding:
    """What a gate saw, and what follows."""

    holds: bool
    observed: str
    reason: str


class CannotJudge(Exception):
    """Why a gate has nothing to compare; becomes the gate's result."""

    def __init__(self, reason: str, status: Status = "NOT EVALUATED") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Case:
    """All that a gate may look at."""

    measured: "Measured"
    served: Served | None
    """What a fresh process found; None if that was not tried."""

    @property
    def standard(self) -> Standard:
        """By what the candidate is judged."""
        return self.measured.standard

    @property
    def limits(self) -> Limits:
        """What the gates ask for."""
        return self.standard.limits

    def labels(self) -> "Floats":
        """The labels, shape (n,), not all the same. Raises CannotJudge for anything else."""
        if self.measured.unmeasured:
            raise CannotJudge(self.measured.unmeasured)
        return self.measured.labels

    def scores(self, role: str) -> "Floats":
        """What a role says of each row, as ``arrays.predicted``. Raises CannotJudge for anything unsound."""
        unsound = self.measured.unsound.get(role)
        if unsound:
            raise CannotJudge(unsound.reason, unsound.status)
        return self.measured.said[role]

    def against(self, role: str) -> tuple[float, float, "Interval"]:
        """The metric of candidate and ``role``, and the interval of the difference, low one-sided at alpha.

        Raises CannotJudge where the metric or the interval is not defined.
        """
        self.labels()
        for one in ("candidate", role):
            self.scores(one)
        name, found = self.standard.metric_name, self.measured.compared
        if found is None:
            raise CannotJudge(f"The {name} can't be measured on bootstrap draws of these scores.", "FAIL")
        difference = found.difference("candidate", role, confidence=1 - 2 * self.limits.alpha)
        mine, other = (found.observed[one] for one in ("candidate", role))
        if mine != mine or other != other or difference.low != difference.low:
            raise CannotJudge(
                f"The {name} of candidate and {role}, or of enough bootstrap draws, is not defined: "
                f"{difference.draws} of {self.limits.draws} draws have both.",
                "FAIL",
            )
        return mine, other, difference


class Gate(ABC):
    """One promotion condition."""

    name: ClassVar[str]
    description: ClassVar[str]
    """What passes it; what Dagster shows of the asset check."""
    may_only_warn: ClassVar[bool] = True
    """Whether a policy may turn its failure into a warning."""

    @abstractmethod
    def required(self, standard: Standard) -> str:
        """What is asked for, in words."""

    @abstractmethod
    def look(self, case: Case) -> Finding:
        """Whether the candidate passes. Raises CannotJudge where there is nothing to compare."""
