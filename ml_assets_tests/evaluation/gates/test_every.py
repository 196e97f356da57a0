from typing import Any

import pytest

from ml_assets.evaluation.gates import every, judge, policy
from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.gates.gate import Case, Finding, Gate
from ml_assets.evaluation.gates.policy import GatePolicy
from ml_assets.evaluation.spec import Standard
from ml_assets_tests.evaluation.holdouts import decide, make_holdout


class RanksNoWorse(Gate):
    """Average precision is not below the baseline's."""

    name = "finds_as_many"
    description = "The candidate's average precision is not below the baseline's."

    def required(self, standard: Standard) -> str:
        return "average precision >= baseline's"

    def look(self, case: Case) -> Finding:
        case.labels()
        mine, other = (case.measured.metrics[role]["average_precision"] for role in ("candidate", "baseline"))
        return Finding(mine >= other, f"{mine:.4f}; baseline {other:.4f}", "Compared by average precision.")


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list with another gate, wherever it is read."""
    for module in (every, judge, policy):
        monkeypatch.setattr(module, "GATES", (*GATES, RanksNoWorse()))


def test_a_gate_has_a_name_of_its_own_and_says_what_passes_it() -> None:
    assert len({gate.name for gate in GATES}) == len(GATES)
    assert all(gate.description.endswith(".") for gate in GATES)


@pytest.mark.usefixtures("one_more")
def test_a_gate_in_the_list_is_judged_and_may_be_named_by_a_policy() -> None:
    frame = make_holdout()
    worse = frame.assign(score_candidate=1 - frame["score_candidate"])
    assert decide(frame).gates[-1].status == "PASS"
    refused = decide(worse).gates[-1]
    assert (refused.name, refused.status) == ("finds_as_many", "FAIL")
    warned = decide(worse, policy=GatePolicy(draws=100, warn_only=("finds_as_many",))).gates[-1]
    assert warned.status == "WARN"
    assert decide(frame.head(0)).gates[-1].status == "NOT EVALUATED"


def test_a_gate_that_is_not_in_the_list_is_no_gate() -> None:
    given: dict[str, Any] = {"warn_only": ["finds_as_many"]}
    with pytest.raises(ValueError, match="finds_as_many is no gate"):
        GatePolicy.model_validate(given)
