"""Days that are like training, drawn from training rows, judged by the whole rule: how often it fires on nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_assets.monitoring.measure.counting import Counted, ProfileError
from ml_assets.monitoring.measure.drift import DayVerdict, compare, drifting, judge_day
from ml_assets.monitoring.measure.profile import FeatureProfile
from ml_assets.monitoring.spec import MonitoringPolicy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BLOCK = 7
"""So many days in a row are drawn together, as days near each other are alike."""


@dataclass(frozen=True)
class Crowd:
    """The rows of several days, counted by the bins of a training profile, to draw days from.

    ``values`` (rows, numbers) are the numeric features, NaN where null; ``codes`` (rows, features) are the bins,
    each feature with numbers of its own; both in the order of ``profiles``, the volume left out. ``entities`` are
    the number of each row's entity, ``days`` where each day's rows start and the last ends.
    """

    profiles: tuple[FeatureProfile, ...]
    values: "np.ndarray"
    codes: "np.ndarray"
    entities: "np.ndarray"
    days: "np.ndarray"

    @property
    def features(self) -> tuple[FeatureProfile, ...]:
        """The profiles that have a column."""
        return tuple(profile for profile in self.profiles if profile.kind != "volume")

    @property
    def numbers(self) -> tuple[FeatureProfile, ...]:
        """The profiles of numbers."""
        return tuple(profile for profile in self.profiles if profile.kind == "numeric")

    @property
    def rows(self) -> float:
        """The rows of a day, on average."""
        return len(self.codes) / (len(self.days) - 1)

    def moved(self, features: Sequence[str], by: float, seed: int = 0) -> "Crowd":
        """The same crowd with some numbers larger by ``by`` training deviations.

        Whole numbers stay whole: each is moved by the next smaller or larger whole number, at random, so that the
        mean moves by as much.
        """
        import numpy as np

        values, codes, offsets = self.values.copy(), self.codes.copy(), _offsets(self.features)
        random = np.random.default_rng(seed)
        columns = {profile.feature: place for place, profile in enumerate(self.numbers)}
        for place, profile in enumerate(self.features):
            if profile.feature not in features:
                continue
            column = values[:, columns[profile.feature]]
            step = by * (profile.deviation or 0.0)
            finite = column[np.isfinite(column)]
            whole = bool((finite == np.floor(finite)).all())
            column += np.floor(step + random.random(len(column))) if whole else step
            codes[:, place] = offsets[place] + _bins_of(profile, column)
        return replace(self, values=values, codes=codes)


def crowd_of(
    frame: "pd.DataFrame", profiles: Sequence[FeatureProfile], *, entity: Sequence[str], block: str = "as_of"
) -> Crowd:
    """Count the rows of ``frame``, a day for each value of ``block``, by the bins of ``profiles``.

    A feature without weight may be missing and is left out: the training set has no scores. Raises ProfileError
    where another is, and if there are no rows.
    """
    import numpy as np

    missing = [p.feature for p in profiles if p.kind != "volume" and p.feature not in frame]
    weighty = [p.feature for p in profiles if p.weight and p.feature in missing]
    if weighty or frame.empty:
        raise ProfileError(
            f"The rows to draw days from lack {', '.join(weighty) or 'rows'}. Materialize the training set again."
        )
    kept = tuple(profile for profile in profiles if profile.feature not in missing)
    features = [profile for profile in kept if profile.kind != "volume"]
    ordered = frame.sort_values(block, kind="stable")
    columns = [_column(ordered[p.feature], p) for p in features]
    offsets = _offsets(features)
    codes = [offset + _bins_of(p, c) for offset, p, c in zip(offsets[:-1], features, columns, strict=True)]
    numbers = [c for p, c in zip(features, columns, strict=True) if p.kind == "numeric"]
    _, starts = np.unique(ordered[block].to_numpy(), return_index=True)
    return Crowd(
        kept,
        np.column_stack(numbers) if numbers else np.empty((len(ordered), 0)),
        np.column_stack(codes),
        ordered.groupby(list(entity), sort=False).ngroup().to_numpy(),
        np.append(starts, len(ordered)),
    )


def draw_days(
    crowd: Crowd, policy: MonitoringPolicy, *, days: int, seed: int, rows: int | None = None
) -> list[DayVerdict]:
    """Draw so many days from a crowd, and judge each.

    Runs of 7 days in a row are drawn together, as days near each other are alike (H. Künsch, "The jackknife and the
    bootstrap for general stationary observations", Annals of Statistics 17, 1989). For each day entities are drawn
    with replacement, each with all its rows of the day, as they are alike too. ``rows`` is how large a day is on
    average (default: as in the crowd); the volume of training is scaled to it.
    """
    import numpy as np

    random, drawer = np.random.default_rng(seed), _Drawer(crowd, rows)
    number, found = len(crowd.days) - 1, list[DayVerdict]()
    length = min(BLOCK, number)
    while len(found) < days:
        first = int(random.integers(number - length + 1))
        for day in range(first, first + min(length, days - len(found))):
            drifts = compare(drawer.profiles, drawer.count(day, drawer.entities(random)), policy)
            found.append(judge_day(drifts, policy))
    return found


def firings(days: Sequence[DayVerdict], policy: MonitoringPolicy) -> list[int]:
    """The places of the days, oldest first, on which the rule fires; after each it is quiet for the cool-down."""
    fired: list[int] = []
    for place in range(len(days)):
        cooling = bool(fired) and place - fired[-1] < policy.cool_down_days
        if not cooling and drifting(days[max(0, place + 1 - policy.of_last) : place + 1], policy):
            fired.append(place)
    return fired


class _Drawer:
    """Counts days of drawn entities."""

    def __init__(self, crowd: Crowd, rows: int | None) -> None:
        import numpy as np

        self.crowd = crowd
        scale = rows / crowd.rows if rows else 1.0
        self.profiles = [_scaled(p, scale) if p.kind == "volume" else p for p in crowd.profiles]
        self.population = int(crowd.entities.max()) + 1
        self.size = max(1, round(self.population * scale))
        self.offsets = _offsets(crowd.features)
        known = np.isfinite(crowd.values)
        self.values = np.where(known, crowd.values, 0.0)
        starts = crowd.days[:-1]
        self.lowest = np.minimum.reduceat(np.where(known, crowd.values, np.inf), starts, axis=0)
        self.highest = np.maximum.reduceat(np.where(known, crowd.values, -np.inf), starts, axis=0)

    def entities(self, random: "np.random.Generator") -> "np.ndarray":
        """How many times each entity is drawn."""
        import numpy as np

        return np.bincount(random.integers(self.population, size=self.size), minlength=self.population)

    def count(self, day: int, drawn: "np.ndarray") -> dict[str, Counted]:
        """The rows of a day, each as often as its entity is drawn; least and greatest are those of the whole day."""
        import numpy as np

        crowd, features = self.crowd, self.crowd.features
        here = slice(crowd.days[day], crowd.days[day + 1])
        times = drawn[crowd.entities[here]]
        picked = np.repeat(np.arange(here.start, here.stop), times)
        counts = np.bincount(crowd.codes[picked].ravel(), minlength=self.offsets[-1])
        sums = iter((times @ self.values[here]).tolist())
        ends = iter(zip(self.lowest[day].tolist(), self.highest[day].tolist(), strict=True))
        found = {}
        for profile, start, end in zip(features, self.offsets[:-1], self.offsets[1:], strict=True):
            *values, nulls = counts[start:end].tolist()
            if profile.kind == "numeric":
                total, (low, high), number = next(sums), next(ends), sum(values)
                numbers = (total / number, low, high) if number else (None, None, None)
                found[profile.feature] = Counted(values, nulls, *numbers)
            else:
                found[profile.feature] = Counted(values, nulls)
        return found


def _scaled(volume: FeatureProfile, scale: float) -> FeatureProfile:
    lowest, highest, mean = (scale * (each or 0.0) for each in (volume.lowest, volume.highest, volume.mean))
    return replace(
        volume, lowest=lowest, highest=highest, mean=mean, deviation=scale * (volume.deviation or 0)
    )


def _offsets(features: Sequence[FeatureProfile]) -> "np.ndarray":
    """The first bin of each feature among those of all, and the number of all. The last bin of each is for nulls."""
    import numpy as np

    return np.cumsum([0, *(len(profile.shares) + 1 for profile in features)])


def _column(values: "pd.Series", profile: FeatureProfile) -> "np.ndarray":
    """Doubles with NaN for what is no finite number; of categories their position, NaN for nulls."""
    import numpy as np

    if profile.kind == "numeric":
        numbers = values.astype("float64").to_numpy()
        return np.where(np.isfinite(numbers), numbers, np.nan)
    places = {category: float(place) for place, category in enumerate(profile.categories)}
    texts = values.astype("string")
    known = texts.map(places).astype("float64").to_numpy()
    return np.where(texts.isna(), np.nan, np.where(np.isnan(known), len(profile.categories), known))


def _bins_of(profile: FeatureProfile, column: "np.ndarray") -> "np.ndarray":
    """The bin of each value; the last one, after all of the profile's, of nulls."""
    import numpy as np

    null = np.isnan(column)
    places = np.searchsorted(profile.edges, column) if profile.kind == "numeric" else np.nan_to_num(column)
    return np.where(null, len(profile.shares), places).astype("int32")
