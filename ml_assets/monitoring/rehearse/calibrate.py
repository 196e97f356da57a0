"""What a model's thresholds promise: how rarely they fire on nothing, and how small a shift they catch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.instance.progress import counted
from ml_assets.monitoring.measure.profile import FeatureProfile
from ml_assets.monitoring.rehearse.simulate import Crowd, crowd_of, draw_days, firings
from ml_assets.monitoring.spec import MonitoringPolicy

if TYPE_CHECKING:
    import pandas as pd

WITHIN = 5
"""Days within which a shift is to be caught."""
TRIALS = 8
MOST_SHIFT, STEP = 3.0, 0.01
"""Shifts are looked for up to 3 training deviations, to the next 0.01."""
SHOWN = 10


@dataclass(frozen=True)
class Caught:
    """The smallest shift of all ``features`` together that is caught within 5 days in 8 of 8 trials.

    ``shift`` is in training deviations; None if none is, and then ``why_not`` says why.
    """

    features: tuple[str, ...]
    shift: float | None
    why_not: str = ""


@dataclass(frozen=True)
class Calibration:
    """The rule on days like training, and on shifts.

    ``fired`` and ``broken`` are by seed: how often the rule fired within ``days`` days, and how many of them it
    called broken. ``alone`` follows ``features``, the most important ones; ``together`` is of the top three numbers.
    """

    rows: float
    blocks: int
    days: int
    fired: tuple[int, ...]
    broken: tuple[int, ...]
    features: tuple[FeatureProfile, ...]
    alone: tuple[Caught, ...]
    together: Caught

    @property
    def alarms_a_year(self) -> float:
        """Firings a year, on average."""
        return sum(self.fired) / len(self.fired) * 365 / self.days


def calibrate(
    frame: "pd.DataFrame",
    profiles: Sequence[FeatureProfile],
    policy: MonitoringPolicy,
    *,
    entity: Sequence[str],
    block: str = "as_of",
    days: int = 365,
    seeds: int = 4,
    rows: int | None = None,
) -> Calibration:
    """Try the rule on days drawn from the training rows ``frame``, ``rows`` a day (default: as in training).

    Days are drawn as by ``draw_days``. Raises ProfileError where a column that weighs is missing.
    """
    crowd = crowd_of(frame, profiles, entity=entity, block=block)
    drawn = [
        draw_days(crowd, policy, days=days, seed=seed, rows=rows)
        for seed in counted(range(seeds), "simulations")
    ]
    ranked = sorted((p for p in crowd.features if p.weight), key=lambda p: (-p.weight, p.feature))
    numbers = [profile for profile in ranked if profile.kind == "numeric"]
    return Calibration(
        rows=rows or crowd.rows,
        blocks=len(crowd.days) - 1,
        days=days,
        fired=tuple(len(firings(verdicts, policy)) for verdicts in drawn),
        broken=tuple(sum(verdict.broken for verdict in verdicts) for verdicts in drawn),
        features=tuple(ranked[:SHOWN]),
        alone=tuple(
            caught(crowd, [profile], policy, rows) for profile in counted(ranked[:SHOWN], "features shifted")
        ),
        together=caught(crowd, numbers[:3], policy, rows),
    )


def caught(
    crowd: Crowd, features: Sequence[FeatureProfile], policy: MonitoringPolicy, rows: int | None = None
) -> Caught:
    """The smallest shift of numbers that the rule finds within 5 days, by halving."""
    names = tuple(profile.feature for profile in features)
    weight = sum(profile.weight for profile in features)
    if not features or any(profile.kind != "numeric" or not profile.deviation for profile in features):
        return Caught(names, None, "no number that varies")
    if weight < policy.share:
        return Caught(names, None, f"weighs {weight:.0%}, below the limit of {policy.share:.0%}")
    low, high = 0, round(MOST_SHIFT / STEP)
    if not _catches(crowd, names, high * STEP, policy, rows):
        return Caught(names, None, f"not even {MOST_SHIFT:g}")
    while high - low > 1:
        middle = (low + high) // 2
        if _catches(crowd, names, middle * STEP, policy, rows):
            high = middle
        else:
            low = middle
    return Caught(names, round(high * STEP, 2))


def delays(
    crowd: Crowd, policy: MonitoringPolicy, *, days: int, seeds: Sequence[int], rows: int | None = None
) -> list[int | None]:
    """By seed, on which day of so many the rule first fires, from 1; None if it doesn't."""
    found = [firings(draw_days(crowd, policy, days=days, seed=seed, rows=rows), policy)[:1] for seed in seeds]
    return [first[0] + 1 if first else None for first in found]


def _catches(
    crowd: Crowd, names: Sequence[str], shift: float, policy: MonitoringPolicy, rows: int | None
) -> bool:
    trials = range(1000, 1000 + TRIALS)
    return None not in delays(crowd.moved(names, shift), policy, days=WITHIN, seeds=trials, rows=rows)
