import io
from datetime import date, timedelta
from typing import Any

import pytest
from PIL import Image

from ml_assets.monitoring.show.loss_plot import loss_over_time
from ml_assets_tests.monitoring.show.test_plots import SMALL, has_red

START = date(2017, 1, 1)


def cohorts(count: int, **given: Any) -> list[dict[str, Any]]:
    plain = {
        "loss": 0.8,
        "loss_deviation": 0.02,
        "expected_loss": 0.78,
        "reference_loss": 0.75,
        "worse": False,
    }
    return [
        {"as_of": START + timedelta(weeks=n), "model_version": 1 + n // 4, **plain, **given}
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_cohorts_and_estimates_become_a_small_picture(count: int) -> None:
    estimates = [
        {"as_of": START + timedelta(days=n), "loss": 0.7, "trusted": n % 2 == 0} for n in range(7 * count)
    ]
    png = loss_over_time(
        cohorts(count),
        worse_by=0.05,
        estimates=estimates,
        promotions=[(START + timedelta(weeks=4 * n), n) for n in range(count // 4)],
        broken=[START + timedelta(days=n) for n in (1, 2, 9)],
    )
    assert Image.open(io.BytesIO(png)).size == (800, 340)
    assert len(png) < SMALL


def test_worse_is_red_and_nothing_else_is() -> None:
    assert has_red(loss_over_time(cohorts(4, worse=True), worse_by=0.05))
    assert not has_red(loss_over_time(cohorts(4), worse_by=0.05))
    assert not has_red(loss_over_time(cohorts(4, worse=None), worse_by=0.05))


def test_what_is_not_known_is_left_out() -> None:
    nothing = loss_over_time([], worse_by=0.05)
    assert loss_over_time(cohorts(3, loss=None), worse_by=0.05) == nothing
    bare = cohorts(3, expected_loss=None, reference_loss=None, worse=None, loss_deviation=None)
    assert loss_over_time(bare, worse_by=0.05) != nothing


def test_what_lies_outside_the_days_shown_changes_nothing() -> None:
    far = date(2030, 1, 1)
    drawn = loss_over_time(cohorts(4), worse_by=0.05)
    assert loss_over_time(cohorts(4), worse_by=0.05, promotions=[(far, 9)], broken=[far]) == drawn
