"""Evaluation: metrics, the paired bootstrap, promotion gates, plots and the report of one holdout."""

from ml_assets.evaluation.gates import (
    GATE_DESCRIPTIONS,
    GATES,
    Decision,
    GatePolicy,
    GateResult,
    HoldoutFacts,
    judge,
)

__all__ = ["GATES", "GATE_DESCRIPTIONS", "Decision", "GatePolicy", "GateResult", "HoldoutFacts", "judge"]
