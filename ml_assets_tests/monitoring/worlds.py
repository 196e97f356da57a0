"""A world without drift that isn't simple: entities have effects that stay, and days have effects with memory."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

NUMERIC = [f"n{place}" for place in range(45)]
CATEGORICAL = [f"c{place}" for place in range(10)]
WEIGHTS = {
    name: 0.75**place
    for place, name in enumerate(np.random.default_rng(0).permutation(NUMERIC + CATEGORICAL).tolist())
}
"""About as steep as in the default project: the first has a quarter of the weight, the 6th 6%."""
TOP = [name for name in WEIGHTS if name in NUMERIC][:3]
"""The three most important numbers; they carry 43% of the weight."""
NULLS = NUMERIC[::4]
"""These are null in about a fifth of the rows, mostly of the same entities."""
ENTITY, DAY_EFFECT, MEMORY, PRESENT = 0.5, 0.03, 0.7, 0.7
"""Share of the variance between entities; deviation of a day's effect and its correlation with the day before; share of the
entities that have a row on a day, as a population of a model has one row of each entity."""
CATEGORIES = [5 * (place + 1) for place in range(len(CATEGORICAL))]
LONGEST = 200


@dataclass(frozen=True)
class World:
    """All effects, drawn once by seed; days 0 to 199 are made of them."""

    rows: int
    entities: np.ndarray
    days: np.ndarray
    random: np.random.Generator

    @classmethod
    def of(cls, rows: int, seed: int) -> "World":
        """A world of ``rows`` a day."""
        random = np.random.default_rng(seed)
        columns = len(NUMERIC) + len(CATEGORICAL)
        days = random.normal(0, DAY_EFFECT, (LONGEST, columns))
        for day in range(1, LONGEST):
            days[day] = MEMORY * days[day - 1] + np.sqrt(1 - MEMORY**2) * days[day]
        entities = random.normal(0, np.sqrt(ENTITY), (round(rows / PRESENT), columns))
        return cls(rows, entities, days, random)

    def frame(self, first: int, last: int) -> pd.DataFrame:
        """The rows of the days from first to last: as_of (the number of the day), entity, 55 features."""
        as_of = np.repeat(np.arange(first, last + 1), self.rows)
        everyone = len(self.entities)
        there = [self.random.permutation(everyone)[: self.rows] for _ in range(first, last + 1)]
        entity = np.concatenate(there)
        values = self.random.standard_normal((len(as_of), self.entities.shape[1]), dtype="float32")
        values *= np.float32(np.sqrt(1 - ENTITY))
        values += self.entities.astype("float32")[entity] + self.days.astype("float32")[as_of]
        columns = {name: values[:, place].astype("float64") for place, name in enumerate(NUMERIC)}
        for name, effect in zip(NULLS, self.entities.T, strict=False):
            columns[name][effect[entity] + values[:, -1] > 1] = np.nan
        for name, number, latent in zip(CATEGORICAL, CATEGORIES, values.T[len(NUMERIC) :], strict=True):
            cuts = np.quantile(self.entities, np.arange(1, number) / number) * np.sqrt(1 / ENTITY)
            labels = [f"v{label:02d}" for label in range(number)]
            columns[name] = pd.Categorical.from_codes(np.searchsorted(cuts, latent), labels)
        return pd.DataFrame({"as_of": as_of, "entity": entity, **columns})
