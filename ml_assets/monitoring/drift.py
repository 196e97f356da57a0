"""Drift: measure a day against the training profile, and judge the day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from ml_assets.monitoring.policy import MonitoringPolicy
from ml_assets.monitoring.profile import Counted, FeatureProfile, Kind, count_bins
from ml_assets.monitoring.stability import psi, psi_by_chance, share_by_chance

UNSEEN_LIMIT = 0.2
"""The share of values in categories unknown to training from which the data counts as broken."""


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of one day against the training profile.

    ``mean_shift`` is in training deviations; None for a categorical feature and for one that was constant.
    ``unseen_share`` is the share of values outside the profile's categories beyond what training had of
    such; None for a numeric feature. ``threshold`` and ``null_threshold`` are those of the profile, or what
    chance alone reaches once in 1,000 times in this number of rows, if that is more. ``breached`` is moved
    or broken; ``reason`` says which, and is None if neither.
    """

    feature: str
    kind: Kind
    psi: float
    mean: float | None
    mean_shift: float | None
    null_share: float
    unseen_share: float | None
    threshold: float
    null_threshold: float
    breached: bool
    reason: str | None
    weight: float
    rows: int

    @property
    def broken(self) -> bool:
        """Whether the data, rather than the world, seems to have changed: nulls or unknown categories."""
        return self.null_share > self.null_threshold or (self.unseen_share or 0.0) > UNSEEN_LIMIT


@dataclass(frozen=True)
class DayVerdict:
    """One day: the weight of the features that breached, and what that means.

    ``broken`` is a breach of data quality and never a reason to retrain. A day without ``enough_rows`` is
    neither breached nor broken.
    """

    share: float
    breached: bool
    rows: int
    enough_rows: bool
    broken: bool
    reason: str


def measure(
    con: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, profiles: Sequence[FeatureProfile]
) -> list[FeatureDrift]:
    """Compare the current rows with the training profile, feature by feature, in one scan.

    ``rows`` belongs to ``con`` and has a column for every profile. The order of rows changes nothing. Raises
    ProfileError where a column is missing or not of the kind it had in training.
    """
    (found,) = count_bins(con, rows, [profile.bins for profile in profiles]).values()
    return [_compare(profile, counted) for profile, counted in zip(profiles, found, strict=True)]


def judge_day(drifts: Sequence[FeatureDrift], policy: MonitoringPolicy) -> DayVerdict:
    """Judge a day by its features: breached if those that breached weigh at least ``policy.share``."""
    rows = max((drift.rows for drift in drifts), default=0)
    if rows < policy.minimum_rows:
        words = f"Not judged: {rows} rows, and at least {policy.minimum_rows} are needed."
        return DayVerdict(0.0, False, rows, enough_rows=False, broken=False, reason=words)
    share = round(math.fsum(drift.weight for drift in drifts if drift.breached), 12)
    breached = share >= policy.share
    broken = [drift for drift in drifts if drift.broken]
    moved = sum(drift.breached for drift in drifts)
    words = f"{moved} of {len(drifts)} features breached; they carry {share:.0%} of the model's weight"
    words += f", {'at or above' if breached else 'below'} the limit of {policy.share:.0%}."
    if broken:
        named = "; ".join(f"{drift.feature}: {drift.reason}" for drift in broken)
        words += (
            f" The data looks broken, so nothing is retrained: {named}. Look at the source and its checks."
        )
    return DayVerdict(share, breached, rows, enough_rows=True, broken=bool(broken), reason=words)


def drifting(days: Sequence[tuple[date, DayVerdict]], policy: MonitoringPolicy) -> bool:
    """Whether the newest of ``days`` is breached, and ``policy.breaches`` of the last ``policy.of_last`` on record.

    A broken day never counts.
    """
    last = sorted(days, key=lambda day: day[0])[-policy.of_last :]
    counting = [verdict.breached and not verdict.broken for _, verdict in last]
    return bool(counting) and counting[-1] and sum(counting) >= policy.breaches


def _compare(profile: FeatureProfile, counted: Counted) -> FeatureDrift:
    values, trained = sum(counted.counts), sum(profile.counts)
    index = psi(profile.counts, counted.counts)
    used = sum(share > 0 for share in profile.shares)
    threshold = max(profile.threshold, psi_by_chance(used, trained, values))
    nulls = max(
        profile.null_threshold, profile.null_share + share_by_chance(profile.null_share, counted.rows)
    )
    unseen = None
    if profile.kind == "categorical":
        known = trained > 0 and values > 0
        unseen = max(0.0, counted.counts[-1] / values - profile.shares[-1]) if known else 0.0
    shift = None
    if counted.mean is not None and profile.mean is not None and profile.deviation:
        shift = (counted.mean - profile.mean) / profile.deviation
    reasons = []
    if counted.null_share > nulls:
        reasons.append(f"{counted.null_share:.1%} of the rows are null, at most {nulls:.1%} were expected")
    if unseen is not None and unseen > UNSEEN_LIMIT:
        reasons.append(f"{unseen:.1%} of the values are categories that training rarely or never saw")
    if index > threshold:
        moved = f", the mean moved by {shift:+.2f} training deviations" if shift is not None else ""
        reasons.append(f"PSI {index:.2f} is above the threshold of {threshold:.2f}{moved}")
    if not trained and values:
        reasons.append(f"{values} rows have a value, in training none had one")
    return FeatureDrift(
        feature=profile.feature,
        kind=profile.kind,
        psi=index,
        mean=counted.mean,
        mean_shift=shift,
        null_share=counted.null_share,
        unseen_share=unseen,
        threshold=threshold,
        null_threshold=nulls,
        breached=bool(reasons),
        reason="; ".join(reasons) or None,
        weight=profile.weight,
        rows=counted.rows,
    )
