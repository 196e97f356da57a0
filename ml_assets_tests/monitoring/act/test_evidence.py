from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ml_assets.monitoring.act.evidence import Evidence, FoundLoss, drift_evidence, loss_evidence
from ml_assets.monitoring.measure.drift import DayVerdict, drifting
from ml_assets.monitoring.spec import MonitoringPolicy

POLICY = MonitoringPolicy()
MONDAY = date(2017, 9, 4)
LOSS = FoundLoss(0.08, "The estimated loss has grown by 0.080.")


def drift(feature: str = "spend", **changes: object) -> Any:
    facts = {"psi": 0.5, "mean_shift": 0.9, "weight": 0.6, "breached": True}
    return SimpleNamespace(feature=feature, **(facts | changes))


def days(pattern: str, last: date = MONDAY) -> list[tuple[date, DayVerdict]]:
    """One day per letter up to ``last``: b breached, x breached and broken, . neither."""
    return [
        (
            last - timedelta(days=len(pattern) - 1 - place),
            DayVerdict(0.6 if letter in "bx" else 0.0, letter in "bx", 500, True, letter == "x", letter),
        )
        for place, letter in enumerate(pattern)
    ]


def evidence(pattern: str, **changes: Any) -> Evidence | None:
    given = {"model": "lapse", "champion_version": 3, "loss": None, "drifts": [drift()]} | changes
    return drift_evidence(given.pop("days", days(pattern)), given.pop("drifts"), POLICY, **given)


@pytest.mark.parametrize("pattern", ["bb", "b.b", ".bb", "bbb", "..bb", "bxb"])
def test_two_of_three_days_up_to_a_breached_newest(pattern: str) -> None:
    assert evidence(pattern) is not None


@pytest.mark.parametrize("pattern", ["", "b", "..b", "bb.", "b..b", "bbx", "xxb", "xb"])
def test_anything_less_is_none(pattern: str) -> None:
    assert evidence(pattern) is None


def test_the_policy_sets_how_many_of_how_many() -> None:
    strict = MonitoringPolicy(breaches=3, of_last=4)
    assert drifting([d for _, d in days("b.bb")], strict)
    assert not drifting([d for _, d in days("b..b")], strict)
    assert drifting([d for _, d in days("b")], MonitoringPolicy(breaches=1, of_last=1))


def test_days_in_any_order_mean_the_same() -> None:
    shuffled = [days("bb.b")[place] for place in (2, 0, 3, 1)]
    assert evidence("", days=shuffled) == evidence("bb.b")


def test_it_says_what_drifted_against_what_by_how_much() -> None:
    moved = [
        drift(),
        drift("trips", weight=0.7, mean_shift=None),
        drift("quiet", breached=False),
        *[drift(f"small_{n}", weight=0.01) for n in range(3)],
    ]
    found = evidence("bb", drifts=moved)
    assert found is not None
    assert found.reason == (
        "On 2017-09-04, trips (PSI 0.50), spend (PSI 0.50, mean +0.90 training deviations), small_0 (PSI 0.50, mean "
        "+0.90 training deviations) and 2 more moved away from the training profile of lapse version 3: 60% of the "
        "model's weight (limit 20%), on at least 2 of the last 3 days. The model doesn't lose by it, so it is recorded."
    )


def test_only_what_the_model_loses_by_calls_for_a_retrain() -> None:
    quiet, losing = evidence("bb"), evidence("bb", loss=LOSS)
    assert quiet is not None
    assert losing is not None
    assert (quiet.calls_for, quiet.diagnosis, quiet.growth) == ("nothing", "data drift", None)
    assert (losing.calls_for, losing.diagnosis, losing.growth) == ("retrain", "data drift with loss", 0.08)
    assert losing.reason.endswith("of the last 3 days. The estimated loss has grown by 0.080.")


def test_labels_alone_are_evidence_on_the_day_they_are_known() -> None:
    found = loss_evidence(
        LOSS,
        model="lapse",
        champion_version=3,
        cohort=MONDAY,
        known_on=MONDAY + timedelta(28),
        diagnosis="concept drift",
    )
    assert (found.as_of, found.found_by, found.calls_for) == (date(2017, 10, 2), "performance", "retrain")
    assert (found.share, found.reason) == (None, LOSS.reason)


def test_the_id_is_stable_and_tells_findings_apart() -> None:
    first, again = evidence("bb"), evidence("bbb")
    assert first is not None
    assert again is not None
    assert first.evidence_id == "d28dcefb6419c5c6"
    assert again == replace(first, reason=again.reason)
    others = [
        evidence("bb", model="churn"),
        evidence("bb", champion_version=4),
        evidence("bb", drifts=[drift("trips")]),
        evidence("", days=days("bb", MONDAY + timedelta(days=1))),
        loss_evidence(LOSS, model="lapse", champion_version=3, cohort=MONDAY, known_on=MONDAY, diagnosis=""),
    ]
    assert len({first.evidence_id, *(other.evidence_id for other in others if other)}) == 6
