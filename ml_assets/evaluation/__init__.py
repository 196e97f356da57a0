"""Evaluation: metrics, the paired bootstrap, promotion gates, plots and the report of one holdout."""

from ml_assets.evaluation.costs import Costs
from ml_assets.evaluation.gates.case import HoldoutFacts, Served
from ml_assets.evaluation.gates.judge import Decision, GateResult, judge
from ml_assets.evaluation.spec import GATE_DESCRIPTIONS, GATES, GatePolicy

__all__ = [
    "GATES",
    "GATE_DESCRIPTIONS",
    "Costs",
    "Decision",
    "GatePolicy",
    "GateResult",
    "HoldoutFacts",
    "Served",
    "judge",
]
