"""Pictures of drift: by day against the limit, and by feature against its threshold. PNG, under 60 kB."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_assets.figures import png
from ml_assets.monitoring.drift import FeatureDrift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALUE = "#1f6feb"
WARN = "#d97706"
BREACH = "#dc2626"
NEUTRAL = "#9ca3af"
STATES = (
    ("within the limit", "o", VALUE),
    ("breached", "o", BREACH),
    ("broken data", "X", WARN),
    ("too few rows", "o", NEUTRAL),
)
MOST_DATES = 8
SHOWN_FEATURES = 25
LONGEST_BAR = 5.0
"""Bars end at 5 times the threshold, so that one runaway feature doesn't hide the others."""


def drift_over_time(rows: Sequence[Mapping[str, Any]], limit: float) -> bytes:
    """The weighted share of breached features by day, with the limit and the breached and broken days marked.

    ``rows`` have as_of, share, breached, broken and enough_rows, as in the table ``drift_days``.
    """
    days = sorted(rows, key=lambda row: row["as_of"])
    figure, axes = _figure(8.0, 2.8)
    axes.set_title("Model weight in features that moved, by day", loc="left", fontsize=10)
    if not days:
        _empty(axes, "No day was measured")
        return png(figure)
    axes.axhline(limit, color=WARN, linewidth=1, linestyle="--")
    _beside(axes, f"limit {limit:.0%}", (1, limit), coordinates=("axes fraction", "data"), color=WARN)
    axes.plot([d["as_of"] for d in days], [d["share"] for d in days], color=VALUE, linewidth=1.2, zorder=2)
    for words, marker, color in STATES:
        marked = [day for day in days if _state(day) == words]
        x, y = [day["as_of"] for day in marked], [day["share"] for day in marked]
        size = 14 if words == "within the limit" else 40
        if marked:
            axes.scatter(x, y, s=size, marker=marker, color=color, label=words, zorder=3)
    highest = max([limit, *(day["share"] for day in days)])
    axes.set_ylim(-0.03, min(1.05, highest * 1.25 + 0.05))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ticks = [day["as_of"] for day in days[:: -(-len(days) // MOST_DATES)]]
    axes.set_xticks(ticks, [f"{tick:%Y-%m-%d}" for tick in ticks])
    figure.legend(loc="outside lower center", ncols=len(STATES), frameon=False, fontsize=8)
    return png(figure)


def feature_shift_plot(drifts: Sequence[FeatureDrift]) -> bytes:
    """PSI of every feature in multiples of its threshold, the largest on top, breached ones highlighted.

    The 25 largest are shown; bars end at 5 times the threshold.
    """
    ranked = sorted(drifts, key=lambda d: (-d.psi / d.threshold, d.feature))[:SHOWN_FEATURES][::-1]
    figure, axes = _figure(8.0, 1.1 + 0.26 * max(len(ranked), 3))
    ratios = [drift.psi / drift.threshold for drift in ranked]
    lengths = [min(ratio, LONGEST_BAR) for ratio in ratios]
    colors = [BREACH if drift.breached else VALUE if drift.weight else NEUTRAL for drift in ranked]
    axes.barh(range(len(ranked)), lengths, color=colors, height=0.65)
    for place, (drift, length) in enumerate(zip(ranked, lengths, strict=True)):
        _beside(axes, _bar_words(drift), (length, place))
    axes.axvline(1, color=WARN, linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(range(len(ranked)), [drift.feature for drift in ranked])
    axes.set_xlim(0, max([1.2, *lengths]) * 1.35)
    axes.set_xlabel("PSI as a multiple of the feature's threshold", fontsize=8)
    left_out = len(drifts) - len(ranked)
    more = f" (the {len(ranked)} largest of {len(drifts)})" if left_out else ""
    axes.set_title(
        f"Features against the training profile{more}: red breached, grey without weight",
        loc="left",
        fontsize=10,
    )
    if not ranked:
        _empty(axes, "No feature was measured")
    return png(figure)


def _state(day: Mapping[str, Any]) -> str:
    if not day["enough_rows"]:
        return "too few rows"
    if day["broken"]:
        return "broken data"
    return "breached" if day["breached"] else "within the limit"


def _bar_words(drift: FeatureDrift) -> str:
    words = f"{drift.psi:.2f}"
    if drift.weight:
        words += f", weight {drift.weight:.0%}"
    return words + (", broken" if drift.broken else "")


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _beside(
    axes: "Axes",
    words: str,
    place: tuple[float, float],
    coordinates: str | tuple[str, str] = "data",
    color: str = "black",
) -> None:
    axes.annotate(
        words,
        place,
        xycoords=coordinates,
        xytext=(4, 0),
        textcoords="offset points",
        color=color,
        fontsize=8,
        va="center",
        bbox={"color": "white", "pad": 0.5},
    )


def _empty(axes: "Axes", words: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color=NEUTRAL)
