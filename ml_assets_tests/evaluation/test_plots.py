import base64
import io
import re
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ml_assets.evaluation.arrays import labels_of, predicted, roles_of
from ml_assets.evaluation.plots import COLOURS, importance_plot, pictures, walk_forward_plot
from ml_assets.evaluation.plots.gain import gain
from ml_assets.pages.figures import as_markdown
from ml_assets.training.target import BINARY, REGRESSION, Target
from ml_assets_tests.evaluation.holdouts import KINDS, make_holdout, make_regression


def colours_of(png: bytes) -> set[str]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        pixels = image.convert("RGB").getcolors(maxcolors=1 << 24)
    return {"#{:02x}{:02x}{:02x}".format(*colour) for count, colour in pixels if count > 40}


def near(colour: str, found: set[str]) -> bool:
    def channels(text: str) -> list[int]:
        return [int(text[i : i + 2], 16) for i in (1, 3, 5)]

    return any(
        max(abs(a - b) for a, b in zip(channels(colour), channels(f), strict=True)) <= 8 for f in found
    )


def drawn_of(target: Target, frame: pd.DataFrame) -> dict[str, bytes]:
    scores = {role: predicted(target, frame, role) for role in roles_of(frame)}
    return pictures(target, labels_of(target, frame), scores)


def rows(cutoffs: int, roles=("candidate", "champion", "baseline")):
    return [
        {
            "cutoff": date(2017, 4, 2) + timedelta(weeks=i),
            "role": role,
            "auc": 0.8 - k / 10,
            "average_precision": 0.4,
        }
        for i in range(cutoffs)
        for k, role in enumerate(roles)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_small_and_draw_all_three(kind):
    target, make = KINDS[kind]
    drawn = drawn_of(target, make(n=5000))
    assert len(drawn) >= 2
    assert sum(map(len, drawn.values())) <= 120_000
    found = colours_of(next(iter(drawn.values())))
    assert all(near(colour, found) for colour in COLOURS.values())


def test_without_a_champion_none_is_drawn():
    drawn = drawn_of(BINARY, make_holdout().drop(columns="score_champion"))
    for png in drawn.values():
        found = colours_of(png)
        assert near(COLOURS["candidate"], found)
        assert not near(COLOURS["champion"], found)


def test_the_same_holdout_gives_the_same_pictures():
    assert drawn_of(REGRESSION, make_regression(n=300)) == drawn_of(REGRESSION, make_regression(n=300))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_draw_is_said_in_words(kind):
    target, make = KINDS[kind]
    frame = make(n=300)
    with pytest.raises(ValueError, match="the labels are 0"):
        drawn_of(target, frame.assign(label=0))
    with pytest.raises(ValueError, match="the labels are none"):
        drawn_of(target, frame.head(0))
    spoiled = frame.assign(**{c: float("nan") for c in frame if c.startswith("score_candidate")})
    with pytest.raises(ValueError, match="the candidate has scores that are not finite"):
        drawn_of(target, spoiled)


def test_amounts_below_0_have_no_gain():
    frame = make_regression()
    assert list(drawn_of(REGRESSION, frame)) == [
        "Scores against labels, errors, calibration",
        "Gain and lift",
    ]
    assert len(drawn_of(REGRESSION, frame.assign(label=frame["label"] - 10))) == 1


def test_a_constant_score_can_be_drawn():
    assert drawn_of(REGRESSION, make_regression().assign(score_candidate=3.0, score_champion=3.0))
    assert drawn_of(BINARY, make_holdout().assign(score_candidate=0.3))


def test_gain_is_the_share_found_among_the_highest_scores():
    share, found = gain(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.9]))
    assert list(share) == [0, 0.25, 0.75, 1]
    assert list(found) == [0, 0.5, 1, 1]


def test_the_walk_forward_plot_takes_gaps_and_one_cutoff():
    metrics = {"auc": "AUC", "average_precision": "Average precision"}
    gap = [*rows(8), {"cutoff": date(2017, 7, 2), "role": "candidate", "auc": float("nan")}]
    found = colours_of(walk_forward_plot(gap, metrics, "auc"))
    assert all(near(colour, found) for colour in COLOURS.values())
    assert len(walk_forward_plot(rows(60), metrics, "auc")) <= 60_000
    assert walk_forward_plot(rows(1, roles=("candidate", "baseline")), {"auc": "AUC"}, "auc")


def test_the_band_is_the_candidate_s_interval_on_record():
    def plot(roles: tuple[str, ...], compared_by: str, low: float) -> bytes:
        banded = [row | {"low": low, "high": 0.9} for row in rows(8, roles)]
        return walk_forward_plot(banded, {"auc": "AUC"}, compared_by)

    band = "#e4edfd"
    assert near(band, colours_of(plot(("candidate",), "auc", 0.7)))
    assert not near(band, colours_of(plot(("candidate",), "auc", float("nan"))))
    assert not near(band, colours_of(plot(("candidate",), "average_precision", 0.7)))
    assert not near(band, colours_of(plot(("baseline",), "auc", 0.7)))


def test_the_walk_forward_plot_needs_rows_and_metrics():
    with pytest.raises(ValueError, match="rows is empty"):
        walk_forward_plot([], {"auc": "AUC"}, "auc")
    with pytest.raises(ValueError, match="metrics is empty"):
        walk_forward_plot(rows(2), {}, "auc")


def test_importance_is_drawn_as_bars():
    assert near(COLOURS["candidate"], colours_of(importance_plot({f"f{i}": i / 10 for i in range(40)})))
    with pytest.raises(ValueError, match="no importance"):
        importance_plot({})


def test_markdown_holds_the_picture():
    png = importance_plot({"trips": 1.0})
    found = re.fullmatch(
        r"!\[scores\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", as_markdown(png, "scores")
    )
    assert found
    assert base64.b64decode(found.group(1)) == png
