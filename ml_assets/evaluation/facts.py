"""What is known of a holdout beside its rows, and of the candidate beside its scores."""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class HoldoutFacts:
    """What is known of a holdout beside its rows. Dates are UTC days."""

    cutoff: date
    holdout_from: date
    """The first as_of."""
    holdout_to: date
    """The last as_of, included."""
    horizon_days: int
    """A label at as_of reads the days as_of to as_of + horizon_days - 1."""
    labels_mature: bool
    landed_through: date | None
    """The last day that has landed; None before any has."""
    candidate_knows_until: date
    """The candidate has seen nothing, features or labels, from this day on."""
    champion_knows_until: date | None
    digest_candidate: str
    """sha256 of the rows the candidate was scored on."""
    digest_champion: str | None
    champion_uncompared: str | None = None
    """Why there is a champion that could not score the rows, and what to do."""

    @property
    def tells_of_champion(self) -> bool:
        """Whether anything is known of a champion."""
        return self.champion_knows_until is not None or self.digest_champion is not None

    @property
    def immature(self) -> str | None:
        """Why the labels are not all known, or None. The flag and the dates must agree."""
        last = self.holdout_to + timedelta(days=self.horizon_days - 1)
        landed = (
            f"events have landed through {self.landed_through}"
            if self.landed_through
            else "no day has landed"
        )
        if self.landed_through is None or self.landed_through < last:
            return f"The labels are not mature: they read the days through {last}, and {landed}"
        if not self.labels_mature:
            return f"The labels are marked as not mature, though {landed}: build those of {self.cutoff} again"
        return None


@dataclass(frozen=True)
class Served:
    """What a fresh process found when it read the model back from the registry's artifact and scored rows."""

    same_scores: bool | None
    """None: it could not score."""
    differing: tuple[str, ...]
    """Requirements the process doesn't meet: "xgboost 3.2.0 is pinned, 3.1.3 is installed"."""
    size_bytes: int
    latency_ms: float
    """Median of single rows."""
    latency_p99_ms: float
    error: str = ""
    """Why it could not score."""
