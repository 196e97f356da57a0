"""The decision on a candidate: every gate's word.

A pure function of what was measured. What can't be measured never passes and never raises: the gate says in
words what is missing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.evaluation.facts import Served
from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.gates.gate import CannotJudge, Case, Gate, Status

if TYPE_CHECKING:
    from ml_assets.evaluation.measured import Measured


@dataclass(frozen=True)
class GateResult:
    """The outcome of one gate."""

    name: str
    status: Status
    observed: str
    required: str
    reason: str


@dataclass(frozen=True)
class Decision:
    """The outcome of all gates, in the order of ``GATES``."""

    gates: tuple[GateResult, ...]
    passed: bool
    """Whether every gate says PASS or WARN."""


def judge(measured: "Measured", served: Served | None, warn_only: Collection[str] = ()) -> Decision:
    """Judge a candidate by every gate.

    ``served`` is what a fresh process found, None if that was not tried. Of the gates named in ``warn_only`` a
    failure is a warning; what can't be measured refuses all the same.
    """
    case = Case(measured, served)
    results = tuple(_result(gate, case, "WARN" if gate.name in warn_only else "FAIL") for gate in GATES)
    return Decision(results, all(result.status in ("PASS", "WARN") for result in results))


def _result(gate: Gate, case: Case, refusal: Status) -> GateResult:
    required = gate.required(case.standard)
    try:
        found = gate.look(case)
    except CannotJudge as problem:
        return GateResult(gate.name, problem.status, "no measurement", required, problem.reason)
    return GateResult(gate.name, "PASS" if found.holds else refusal, found.observed, required, found.reason)
