"""The picture of a backtest: the loss over time of every strategy, and the moments of retraining."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_assets.monitoring.rehearse.backtest import History, Result, Strategy, Training
from ml_assets.pages.figures import SOFT, figure_of, png, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS: dict[Strategy, str] = {
    "never": "#9ca3af",
    "weekly": "#d97706",
    "drift": "#1f6feb",
    "oracle": "#059669",
}
WIDTHS: dict[Strategy, float] = {"never": 1.6, "weekly": 1.2, "drift": 2.0, "oracle": 1.2}
MARKS = {"drift": "s", "performance": "D"}
"""Retrains that evidence asked for; those by age, calendar or hindsight are dots."""
BY = {"s": "asked for by drift", "D": "by loss", "o": "by age, calendar or hindsight"}
NUMBERED = 20
"""Up to so many retrains of a strategy carry their version's number."""


def backtest_plot(history: History, results: Sequence[Result]) -> bytes:
    """PNG: the loss by day, how much less that is than never retraining, and a row of retrains per strategy.

    A filled mark is a version that took over, a hollow one a version that was rejected.
    """
    from matplotlib.dates import date2num

    figure, (above, middle, below) = figure_of(3, height=8.4, rows=3)
    days, never = sorted(history.cutoff_of), results[0]
    for result in results:
        strategy = result.replayed.strategy
        saved = {day: never.losses[day] - result.losses[day] for day in days}
        for panel, values in ((above, result.losses), (middle, saved)):
            panel.step(
                date2num(days),
                [values[day] for day in days],
                where="post",
                color=COLORS[strategy],
                linewidth=WIDTHS[strategy],
                label=strategy,
            )
            for training in result.replayed.trainings:
                if strategy != "weekly" and training.on in values:
                    _mark(panel, training, values[training.on], COLORS[strategy])
    titles(above, f"{history.model}: normalised loss of the version in use", "", "loss, lower is better")
    titles(middle, "Saved against never retraining", "", "loss saved, higher is better")
    _moments(below, results)
    for panel in (above, middle, below):
        panel.set_xlim(date2num(history.days[0]), date2num(history.days[-1]))
        panel.xaxis_date()
    above.legend(loc="upper left", ncols=len(results), frameon=False, fontsize=8)
    return png(figure)


def _moments(panel: "Axes", results: Sequence[Result]) -> None:
    """A row per strategy with its retrains."""
    from matplotlib.dates import date2num

    names = [result.replayed.strategy for result in results]
    for row, result in enumerate(results):
        trainings = result.replayed.trainings
        for training in trainings:
            _mark(panel, training, row, COLORS[names[row]])
            if len(trainings) <= NUMBERED:
                panel.annotate(
                    str(training.version),
                    (date2num(training.on), row),
                    xytext=(0, 7),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7,
                    color=SOFT,
                )
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    titles(panel, "Retrains, with the numbers of their versions; hollow: rejected", "", "")
    for mark, words in BY.items():
        panel.plot([], [], mark, color=SOFT, markersize=5, label=words)
    panel.legend(loc="upper right", ncols=len(BY), frameon=False, fontsize=8)


def _mark(panel: "Axes", training: Training, height: float, color: str) -> None:
    from matplotlib.dates import date2num

    mark = MARKS.get(training.trigger, "o")
    inside = color if training.promoted else "white"
    panel.plot(
        [date2num(training.on)],
        [height],
        mark,
        color=color,
        markerfacecolor=inside,
        markersize=5,
        zorder=3,
    )
