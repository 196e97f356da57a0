import numpy as np
import pandas as pd
import pytest

from ml_assets_tests.evaluation.holdouts import (
    gate,
    make_holdout,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


@pytest.mark.parametrize(("factor", "status"), [(1.0, "PASS"), (0.5, "FAIL"), (2.0, "FAIL")])
def test_calibration(good, factor, status):
    found = gate("is_calibrated", good.assign(score_candidate=(good["score_candidate"] * factor).clip(0, 1)))
    assert found.status == status


def test_scores_that_are_no_probabilities_are_not_calibrated(good):
    found = gate("is_calibrated", good.assign(score_candidate=np.log(good["score_candidate"])))
    assert found.status == "FAIL"
    assert "between 0 and 1" in found.reason
