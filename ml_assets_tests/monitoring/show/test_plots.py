import io
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from ml_assets.monitoring.measure.drift import FeatureDrift
from ml_assets.monitoring.show.plots import (
    FeatureBars,
    drift_over_time,
    feature_histograms,
    feature_shift_plot,
    score_distribution,
)
from ml_assets.training.target import BINARY
from ml_assets_tests.monitoring.scored import draw, reference

SMALL = 60_000
RED = (220, 38, 38)


def drifts(count: int, *, breached: bool = False, shift: float | None = 0.05) -> list[FeatureDrift]:
    return [
        FeatureDrift(
            feature=f"feature_{n}",
            kind="numeric",
            psi=n / 100,
            psi_threshold=0.1,
            shift=shift,
            shift_threshold=0.1 if shift is not None else None,
            null_share=0.0,
            null_threshold=0.05,
            breached=breached,
            weight=1 / count,
            rows=500,
        )
        for n in range(count)
    ]


def verdicts(count: int, *, breached: bool = False) -> list[dict[str, object]]:
    flags = {"breached": breached, "broken": False, "enough_rows": True}
    return [{"as_of": date(2017, 1, 1) + timedelta(days=n), "share": 0.3, **flags} for n in range(count)]


def has_red(png: bytes) -> bool:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)
    return bool((abs(pixels - RED).sum(axis=2) < 12).any())


@pytest.mark.parametrize("count", [0, 1, 2, 365])
def test_days_become_a_small_picture(count: int) -> None:
    png = drift_over_time(verdicts(count), 0.2)
    assert Image.open(io.BytesIO(png)).size == (800, 280)
    assert len(png) < SMALL


@pytest.mark.parametrize("count", [0, 1, 60])
def test_features_become_a_small_picture(count: int) -> None:
    png = feature_shift_plot(drifts(count))
    assert Image.open(io.BytesIO(png)).width == 800
    assert len(png) < SMALL


def test_a_bar_is_as_long_as_the_farther_of_psi_and_shift() -> None:
    psi_alone = feature_shift_plot(drifts(5, shift=None))
    assert feature_shift_plot(drifts(5, shift=0.0)) == psi_alone
    assert feature_shift_plot(drifts(5, shift=0.3)) != psi_alone


def test_breaches_are_red_and_nothing_else_is() -> None:
    assert has_red(drift_over_time(verdicts(5, breached=True), 0.2))
    assert not has_red(drift_over_time(verdicts(5), 0.4))
    assert has_red(feature_shift_plot(drifts(5, breached=True)))
    assert not has_red(feature_shift_plot(drifts(5)))


def histograms(count: int, *, breached: bool = False) -> list[FeatureBars]:
    shares = [0.1] * 10
    long = "a_name_that_is_" * 5
    numbers = [FeatureBars(long, [float(n) for n in range(9)], shares, shares[::-1], breached)] * (count // 2)
    return numbers + [FeatureBars("department", list("abcdefghij"), shares, shares, False)] * (
        count - len(numbers)
    )


@pytest.mark.parametrize(("count", "height"), [(0, 220), (1, 220), (5, 370), (60, 520)])
def test_histograms_become_a_small_picture(count: int, height: int) -> None:
    png = feature_histograms(histograms(count))
    assert Image.open(io.BytesIO(png)).size == (800, height)
    assert len(png) < SMALL


def test_a_breached_histogram_is_red_and_no_other() -> None:
    assert has_red(feature_histograms(histograms(4, breached=True)))
    assert not has_red(feature_histograms(histograms(4)))


def test_scores_become_a_small_picture_wherever_they_lie() -> None:
    made, scores = reference(BINARY), draw(BINARY, 500, seed=3)[1]
    for current in (scores, scores[:0], scores[:1], scores * 0, scores * 0 + 1):
        png = score_distribution(made, current)
        assert Image.open(io.BytesIO(png)).size == (800, 260)
        assert len(png) < SMALL
