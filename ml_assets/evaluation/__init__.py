"""Evaluation: a holdout measured once, promotion gates, plots and the report."""

from ml_assets.evaluation.facts import HoldoutFacts, Served
from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.gates.judge import Decision, GateResult, judge
from ml_assets.evaluation.gates.policy import GatePolicy
from ml_assets.evaluation.spec import Costs, Standard

__all__ = [
    "GATES",
    "Costs",
    "Decision",
    "GatePolicy",
    "GateResult",
    "HoldoutFacts",
    "Served",
    "Standard",
    "judge",
]
