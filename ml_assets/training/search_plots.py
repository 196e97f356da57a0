"""Pictures of a search: how the loss came down, and which parameters it came from. PNG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ml_assets.pages.figures import figure_of, png, titles

if TYPE_CHECKING:
    import optuna

TRIAL, BEST, PRUNED = "#1f6feb", "#d97706", "#9ca3af"
_ABREAST = 3


def search_plots(study: "optuna.Study") -> dict[str, bytes]:
    """``history``: the loss of every trial with the best so far; ``parameters``: the loss by each parameter's value.

    Name -> PNG. Raises ValueError without a trial that ended by itself.
    """
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    complete = [trial for trial in ended if trial.state is TrialState.COMPLETE]
    if not complete:
        raise ValueError(f"search {study.study_name} has no trial that ended: there is nothing to draw")
    return {"history": _history(ended), "parameters": _by_parameter(complete)}


def _history(ended: Sequence["optuna.trial.FrozenTrial"]) -> bytes:
    from matplotlib.ticker import MaxNLocator
    from optuna.trial import TrialState

    figure, (axes, *_) = figure_of(1, width=6.4, height=3.2)
    done = {
        n: t.value for n, t in enumerate(ended, 1) if t.state is TrialState.COMPLETE and t.value is not None
    }
    pruned = [n for n in range(1, len(ended) + 1) if n not in done]
    best = [min(value for m, value in done.items() if m <= n) for n in done]
    axes.step([*done, len(ended)], [*best, best[-1]], where="post", color=BEST, lw=1.6, label="best so far")
    axes.scatter(list(done), list(done.values()), color=TRIAL, s=22, lw=0, zorder=3, label="trial")
    if pruned:
        look: dict[str, Any] = {"color": PRUNED, "s": 26, "marker": "x", "zorder": 3, "clip_on": False}
        axes.scatter(
            pruned, [0] * len(pruned), transform=axes.get_xaxis_transform(), label="pruned (no loss)", **look
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    titles(axes, "Search, trial by trial", "trial (the first is the spec's own)", "tune loss")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    return png(figure)


def _by_parameter(complete: Sequence["optuna.trial.FrozenTrial"]) -> bytes:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

    names = list(complete[0].params)
    rows = -(-len(names) // _ABREAST)
    abreast = min(len(names), _ABREAST)
    figure, panels = figure_of(rows * abreast, width=3.6 * abreast, height=2.7 * rows, rows=rows)
    best = min(complete, key=lambda trial: trial.value or 0.0)
    for axes, name in zip(panels, names, strict=False):
        axes.scatter(
            [trial.params[name] for trial in complete],
            [trial.value or 0.0 for trial in complete],
            color=TRIAL,
            s=22,
            lw=0,
            alpha=0.7,
        )
        axes.scatter([best.params[name]], [best.value or 0.0], color=BEST, s=40, lw=0, zorder=3)
        span: Any = complete[0].distributions[name]
        if getattr(span, "log", False):
            axes.set_xscale("log")
            between = (1.0, 2.0, 5.0) if span.high < 200 * span.low else (1.0,)
            axes.xaxis.set_major_locator(LogLocator(subs=between, numticks=8))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif isinstance(best.params[name], int):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        titles(axes, name, "", "tune loss")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    return png(figure)
