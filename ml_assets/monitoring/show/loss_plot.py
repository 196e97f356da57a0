"""The picture of a model's loss over time: what came true, what was estimated, and what it is held against."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ml_assets.monitoring.loss.normalised import BEYOND_CHANCE
from ml_assets.monitoring.show.plots import (
    BREACH,
    MOST_DATES,
    NEUTRAL,
    VALUE,
    WARN,
    beside,
    empty,
    plain_figure,
)
from ml_assets.pages.figures import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ESTIMATED = "#7c3aed"
MOST_VERSIONS = 12
HALF_A_COHORT = timedelta(days=3)
Rows = Sequence[Mapping[str, Any]]


def loss_over_time(
    cohorts: Rows,
    *,
    worse_by: float,
    estimates: Rows = (),
    promotions: Sequence[tuple[date, int]] = (),
    broken: Sequence[date] = (),
) -> bytes:
    """The normalised loss by day: realised, with intervals of 3.09 standard errors, and estimated; against the holdout's.

    ``cohorts`` are rows of the table ``performance``; those without a loss are left out. ``estimates`` have as_of,
    loss and trusted, by day. The loss of each version's holdout is a line, with a band up to ``worse_by`` above it.
    ``promotions`` are days on which a version came into use, ``broken`` days of broken data.
    """
    realised = sorted((c for c in cohorts if c["loss"] is not None), key=_place)
    expected = sorted((e for e in estimates if e["loss"] is not None), key=lambda e: e["as_of"])
    figure, axes = plain_figure(8.0, 3.4)
    axes.set_title(
        "Normalised loss by day of prediction (1 knows the label rates alone)", loc="left", fontsize=10
    )
    if not realised and not expected:
        empty(axes, "No loss is known yet")
        return png(figure)
    _references(axes, realised, worse_by)
    _estimated(axes, realised, expected)
    _realised(axes, realised)
    days = [row["as_of"] for row in (*realised, *expected)]
    first, last = min(days) - HALF_A_COHORT, max(days) + HALF_A_COHORT
    axes.set_xlim(first, last)
    _marks(axes, [p for p in promotions if first <= p[0] <= last], [d for d in broken if first <= d <= last])
    step = max(timedelta(days=1), (max(days) - min(days)) / (MOST_DATES - 1))
    ticks = [min(days) + n * step for n in range(MOST_DATES) if min(days) + n * step <= max(days)]
    axes.set_xticks(ticks, [f"{tick:%Y-%m-%d}" for tick in ticks])
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return png(figure)


def _place(cohort: Mapping[str, Any]) -> tuple[date, int]:
    return cohort["as_of"], cohort["model_version"]


def _references(axes: "Axes", cohorts: Rows, worse_by: float) -> None:
    """A line and a band for every version, as long as it was followed."""
    label, band = "its holdout", "room to grow"
    for version in sorted({cohort["model_version"] for cohort in cohorts}):
        own = [c for c in cohorts if c["model_version"] == version and c["reference_loss"] is not None]
        if not own:
            continue
        span = [own[0]["as_of"] - HALF_A_COHORT, own[-1]["as_of"] + HALF_A_COHORT]
        level = own[-1]["reference_loss"]
        axes.fill_between(span, level, level + worse_by, color=VALUE, alpha=0.08, linewidth=0, label=band)
        axes.plot(span, [level, level], color=VALUE, linewidth=1, label=label)
        label = band = "_"


def _estimated(axes: "Axes", cohorts: Rows, estimates: Rows) -> None:
    scored = [c for c in cohorts if c["expected_loss"] is not None]
    if scored:
        x, y = [c["as_of"] for c in scored], [c["expected_loss"] for c in scored]
        axes.scatter(
            x,
            y,
            s=22,
            marker="D",
            facecolors="none",
            edgecolors=ESTIMATED,
            label="expected by its scores",
            zorder=3,
        )
    trusted = [e for e in estimates if e["trusted"]]
    doubted = [e for e in estimates if not e["trusted"]]
    if trusted:
        x, y = [e["as_of"] for e in trusted], [e["loss"] for e in trusted]
        axes.scatter(x, y, s=5, color=ESTIMATED, label="estimated, no labels yet", zorder=2)
    if doubted:
        x, y = [e["as_of"] for e in doubted], [e["loss"] for e in doubted]
        axes.scatter(x, y, s=5, color=NEUTRAL, label="estimated, in doubt", zorder=2)


def _realised(axes: "Axes", cohorts: Rows) -> None:
    for words, color, verdict in (
        ("realised", VALUE, False),
        ("worse", BREACH, True),
        ("not judged", NEUTRAL, None),
    ):
        picked = [c for c in cohorts if c["worse"] is verdict]
        if picked:
            axes.errorbar(
                [c["as_of"] for c in picked],
                [c["loss"] for c in picked],
                yerr=[BEYOND_CHANCE * (c["loss_deviation"] or 0.0) for c in picked],
                fmt="o",
                markersize=4.5,
                color=color,
                elinewidth=0.8,
                label=words,
                zorder=4,
            )


def _marks(axes: "Axes", promotions: Sequence[tuple[date, int]], broken: Sequence[date]) -> None:
    """Vertical lines where a version came into use, and shade over days of broken data."""
    every = -(-len(promotions) // MOST_VERSIONS) if promotions else 1
    for place, (day, version) in enumerate(sorted(promotions)):
        axes.axvline(day, color=NEUTRAL, linewidth=0.8, linestyle=":", zorder=1)  # type: ignore[arg-type]
        if place % every == 0:
            beside(axes, f"v{version}", (day, 0.96), coordinates=("data", "axes fraction"), color="#6b7280")
    label = "broken data"
    for first, last in _runs(broken):
        axes.axvspan(first, last, color=WARN, alpha=0.18, linewidth=0, label=label, zorder=0)  # type: ignore[arg-type]
        label = "_"


def _runs(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """Days in a row, each as half a day before the first to half a day after the last."""
    ordered = sorted(set(days))
    first = None
    for day in ordered:
        first = first or day
        if day + timedelta(days=1) not in ordered:
            yield first, day + timedelta(days=1)
            first = None
