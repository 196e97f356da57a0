"""A backtest in words: one table, the words in it, and each retrain of the policy with its reason. Markdown."""

from collections import Counter
from collections.abc import Sequence

from ml_assets.evaluation.spec import METRIC_NAMES
from ml_assets.monitoring.rehearse.backtest import History, Replayed, Result, Strategy, Yardstick

MEANING: dict[Strategy, str] = {
    "never": "the first version stays",
    "weekly": "a retrain whenever a further cutoff has mature labels",
    "drift": "the model's `monitoring` policy, day by day: evidence of drift or loss, age, cool-down, back-off, budget",
    "oracle": "with hindsight, the retrains that lose least of all in which none is idle; held to the same gate",
}
HEAD = (
    "strategy",
    "trainings",
    "promotions",
    "idle",
    "false alarms",
    "degraded days",
    "loss",
    "to never",
)


def backtest_text(history: History, results: Sequence[Result], yardstick: Yardstick, metric: str) -> str:
    """The whole page. The first result is what the others are compared with; ``metric`` is that of the gates."""
    first, newest = history.candidates[0], history.cutoffs[-1]
    days = len(history.cutoff_of)
    left_out = len(history.days) - days
    paragraphs = [
        f"# Ways of retraining {history.model}",
        f"{days} days, {history.days[0]} to {history.days[-1]}, from the first version in use (of cutoff "
        f"{first.cutoff}) to the week of the newest cutoff with labels, {newest}; {len(history.candidates)} versions on "
        f"record.{f' {left_out} days have no labels and count for nothing.' if left_out else ''}",
        "\n".join(_table(results, METRIC_NAMES[metric])),
        "\n".join(_words(history, yardstick)),
        *(part for result in results if (part := "\n".join(_trainings(history, result)))),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _table(results: Sequence[Result], metric: str) -> list[str]:
    never = results[0]
    rows: list[tuple[str, ...]] = [(*HEAD, metric, "to never")]
    for result in results:
        alarms = result.false_alarms if result.replayed.strategy == "drift" else "-"
        counts = (len(result.replayed.trainings), result.promotions, result.idle, alarms, result.degraded)
        loss, reached = _beside(result.loss, never.loss), _beside(result.metric, never.metric)
        rows.append((result.replayed.strategy, *map(str, counts), *loss, *reached))
    name, *numbers = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruler = "|".join(["-" * (name + 2), *("-" * (width + 1) + ":" for width in numbers)])
    lines = [
        " | ".join([f"{first:<{name}}", *(f"{n:>{width}}" for n, width in zip(rest, numbers, strict=True))])
        for first, *rest in rows
    ]
    return [f"| {lines[0]} |", f"|{ruler}|", *(f"| {line} |" for line in lines[1:])]


def _beside(value: float, never: float) -> tuple[str, str]:
    return f"{value:.4f}", f"{value - never:+.4f}"


def _words(history: History, yardstick: Yardstick) -> list[str]:
    gain, degraded = yardstick
    return [
        *(f"- {strategy}: {words}." for strategy, words in MEANING.items()),
        "- trainings: after the first version's. promotions: those whose version was not worse on its own holdout by "
        f"more than the gate's margin, {history.margin:g}.",
        f"- idle: trainings whose version doesn't lose at least {gain:g} less than the one before it, on average until "
        "the next training. false alarms: the idle ones that evidence asked for.",
        f"- degraded days: the version in use loses at least {degraded:g} more than the best there was by then.",
        "- loss: the normalised loss, lower is better, 1 is useless; a mean over days, each with the labels of the "
        "newest cutoff. In units of the policy's worse_by, idle is a tenth and degraded is a half.",
    ]


def _trainings(history: History, result: Result) -> list[str]:
    """Each retrain of the policy, or of hindsight, with what it gained."""
    replayed = result.replayed
    if replayed.strategy not in ("drift", "oracle"):
        return []
    cutoffs = {candidate.version: candidate.cutoff for candidate in history.candidates}
    lines = [f"## {replayed.strategy}", ""]
    for training, gain in zip(replayed.trainings, result.gains, strict=True):
        lines.append(
            f"- {training.on}: version {training.version} of cutoff {cutoffs[training.version]} for version "
            f"{training.replaced}, {'promoted' if training.promoted else 'rejected'}, {gain:+.4f} of loss gained. "
            f"{training.why}"
        )
    return [*lines, *(_noted(replayed) if replayed.strategy == "drift" else [])]


def _noted(replayed: Replayed) -> list[str]:
    by = Counter(training.trigger for training in replayed.trainings)
    lines = [f"- retrains asked for by: {', '.join(f'{what} {n}' for what, n in by.items()) or 'nothing'}."]
    if replayed.recorded:
        kinds = Counter((e.diagnosis, e.calls_for) for e in replayed.recorded)
        said = "; ".join(f"{kind} {n} times, calls for {what}" for (kind, what), n in sorted(kinds.items()))
        lines.append(f"- evidence on record: {said}.")
    if replayed.asked:
        day, why = next(iter(replayed.asked.items()))
        lines.append(f"- a person would have been asked on {len(replayed.asked)} days, first on {day}: {why}")
    return lines
