from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from ml_assets_tests.evaluation.holdouts import (
    CUTOFF,
    FACTS,
    decide,
    gate,
    make_holdout,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"champion_knows_until": CUTOFF + timedelta(days=7)},
            "champion knows the days before 2017-10-08.*7 days",
        ),
        (
            {"candidate_knows_until": CUTOFF + timedelta(days=1)},
            "candidate knows the days before 2017-10-02.*1 days",
        ),
        ({"digest_champion": "0" * 64}, "not scored on the same rows"),
        ({"digest_champion": None}, "not scored on the same rows"),
        ({"digest_candidate": ""}, "digest is empty"),
        ({"champion_knows_until": None}, "nothing says until when"),
        ({"labels_mature": False}, "marked as not mature"),
        ({"landed_through": date(2017, 10, 27)}, "read the days through 2017-10-28, and events.*2017-10-27"),
        ({"landed_through": None}, "no day has landed"),
        ({"holdout_from": date(2017, 10, 2), "holdout_to": date(2017, 10, 3)}, "said to be 2017-10-02"),
    ],
)
def test_dishonest_facts_are_refused(good, change, said):
    found = gate("holdout_is_honest", good, facts=replace(FACTS, **change))
    assert found.status == "FAIL"
    assert pd.Series([found.reason]).str.contains(said).all(), found.reason


def test_a_champion_from_the_very_cutoff_has_not_seen_the_holdout(good):
    facts = replace(FACTS, champion_knows_until=CUTOFF)
    assert gate("holdout_is_honest", good, facts=facts).status == "PASS"


def test_every_problem_is_named_at_once(good):
    facts = replace(FACTS, digest_champion="0" * 64, champion_knows_until=date(2017, 11, 1))
    reason = gate("holdout_is_honest", good.head(30), facts=facts).reason
    for said in ("30 rows, and 200", "20 are needed", "same rows", "31 days"):
        assert said in reason


def test_too_few_positives_are_refused(good):
    few = pd.concat([good[good["label"] == 0], good[good["label"] == 1].head(19)])
    found = gate("holdout_is_honest", few)
    assert found.status == "FAIL"
    assert "19 rows with label 1" in found.reason


def test_repeated_rows_are_refused(good):
    found = gate("holdout_is_honest", pd.concat([good, good.head(3)]))
    assert found.status == "FAIL"
    assert "3 rows repeat a household_id" in found.reason


def test_an_entity_at_several_as_of_is_no_repetition(good):
    later = good.assign(as_of=pd.Timestamp("2017-10-08", tz="UTC"))
    facts = replace(FACTS, holdout_to=date(2017, 10, 8), landed_through=date(2017, 11, 4))
    assert decide(pd.concat([good, later]), facts=facts).passed


def test_as_of_may_be_dates(good):
    assert decide(good.assign(as_of=CUTOFF)).passed
