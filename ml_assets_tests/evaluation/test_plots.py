import base64
import io
import re
from datetime import date, timedelta

import pytest
from PIL import Image

from ml_assets.evaluation.plots import (
    COLOURS,
    as_markdown,
    evaluation_plot,
    score_histogram,
    walk_forward_plot,
)
from ml_assets_tests.evaluation.holdouts import make_holdout


def colours_of(png: bytes) -> set[str]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        pixels = image.convert("RGB").getcolors(maxcolors=1 << 24)
    return {"#{:02x}{:02x}{:02x}".format(*colour) for count, colour in pixels if count > 40}


def near(colour: str, found: set[str]) -> bool:
    def channels(text: str) -> list[int]:
        return [int(text[i : i + 2], 16) for i in (1, 3, 5)]

    return any(
        max(abs(a - b) for a, b in zip(channels(colour), channels(f), strict=True)) <= 6 for f in found
    )


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


def test_the_evaluation_plot_is_small_and_draws_all_three():
    png = evaluation_plot(make_holdout(n=20_000))
    assert len(png) <= 60_000
    found = colours_of(png)
    assert all(near(colour, found) for colour in COLOURS.values())


def test_the_evaluation_plot_without_a_champion_has_none():
    found = colours_of(evaluation_plot(make_holdout().drop(columns="score_champion")))
    assert near(COLOURS["candidate"], found)
    assert not near(COLOURS["champion"], found)


def test_the_same_holdout_gives_the_same_picture():
    assert evaluation_plot(make_holdout()) == evaluation_plot(make_holdout())


@pytest.mark.parametrize("draw", [evaluation_plot, score_histogram])
def test_nothing_to_draw_is_said_in_words(draw):
    frame = make_holdout()
    with pytest.raises(ValueError, match="both classes; the labels are 0"):
        draw(frame.assign(label=0))
    with pytest.raises(ValueError, match="both classes; the labels are none"):
        draw(frame.head(0))
    with pytest.raises(ValueError, match="score_candidate has values"):
        draw(frame.assign(score_candidate=float("nan")))


def test_the_walk_forward_plot_takes_gaps_and_one_cutoff():
    gap = [
        *rows(8),
        {"cutoff": date(2017, 7, 2), "role": "candidate", "auc": float("nan"), "average_precision": None},
    ]
    found = colours_of(walk_forward_plot(gap))
    assert all(near(colour, found) for colour in COLOURS.values())
    assert len(walk_forward_plot(rows(60))) <= 60_000
    assert walk_forward_plot(rows(1, roles=("candidate", "baseline")))


def test_the_walk_forward_plot_needs_rows():
    with pytest.raises(ValueError, match="rows is empty"):
        walk_forward_plot([])


def test_the_histogram_draws_the_scores():
    assert near("#ffffff", colours_of(score_histogram(make_holdout())))


def test_markdown_holds_the_picture():
    png = score_histogram(make_holdout())
    found = re.fullmatch(
        r"!\[scores\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", as_markdown(png, "scores")
    )
    assert found
    assert base64.b64decode(found.group(1)) == png
