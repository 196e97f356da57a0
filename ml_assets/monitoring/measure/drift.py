"""Drift: measure a day's rows against the training profile, judge the day, and tell a drift from a breach."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from ml_assets.monitoring.measure.counting import Counted, Kind, count_bins, share_set
from ml_assets.monitoring.measure.profile import FeatureProfile, grouped, histogram_of
from ml_assets.monitoring.measure.statistics import (
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
    psi_by_chance,
    share_by_chance,
    wasserstein,
    wasserstein_by_chance,
)
from ml_assets.monitoring.spec import MonitoringPolicy


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """One feature of one day against the training profile.

    ``psi`` and ``jensen_shannon`` are over up to 10 groups of values, or over categories. Of numbers: ``shift`` is
    the Wasserstein distance and ``mean_shift`` the distance of the means, both in training deviations; ``ks`` is
    the Kolmogorov-Smirnov statistic; ``low`` and ``high`` are the least and the greatest value. Of categories:
    ``chi_square`` with its degrees of freedom, and ``unseen_share``, the share of values outside the profile's
    categories beyond what training had of such, or of values that training never had beyond what was new in each of its
    blocks, whichever is more. Of the volume ``mean`` is the number of rows. What a feature has
    not is None: numbers of categories, a shift of what was constant, a distance where one side has no value. The
    p-values, of rows that count as independent, are for a person to read and decide nothing.

    The thresholds are those of the profile, or what chance alone reaches once in 1,000 times in this number of rows,
    if that is more; to that of nulls, which stop a pipeline, chance is added. ``breached`` is moved or broken;
    ``broken`` says that the data rather than the world seems to have changed; ``reason`` says which and by how much,
    and is None if neither.
    """

    feature: str
    kind: Kind
    psi: float
    psi_threshold: float
    shift: float | None = None
    shift_threshold: float | None = None
    ks: float | None = None
    ks_p: float | None = None
    jensen_shannon: float | None = None
    chi_square: float | None = None
    chi_square_freedom: int | None = None
    chi_square_p: float | None = None
    null_share: float
    null_threshold: float
    unseen_share: float | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    mean_shift: float | None = None
    breached: bool = False
    broken: bool = False
    reason: str | None = None
    weight: float
    rows: int


@dataclass(frozen=True)
class DayVerdict:
    """One day: the weight of the features that breached, and what that means.

    ``broken`` is a breach of data quality and never a reason to retrain. A day without ``enough_rows`` is not
    breached, and broken only by its volume.
    """

    share: float
    breached: bool
    rows: int
    enough_rows: bool
    broken: bool
    reason: str


def measure(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    profiles: Sequence[FeatureProfile],
    policy: MonitoringPolicy,
) -> list[FeatureDrift]:
    """Compare the current rows with the training profile, feature by feature, in one scan.

    ``rows`` belongs to ``con`` and has a column for every profile but the volume's. The order of rows changes
    nothing. Raises ProfileError where a column is missing or not of the kind it had in training.
    """
    (counted,) = count(con, rows, profiles).values()
    return compare(profiles, counted, policy)


def count(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    profiles: Sequence[FeatureProfile],
    block: str | None = None,
) -> dict[Any, dict[str, Counted]]:
    """The rows by bin of every profile, by feature, for every value of ``block``, in one scan; None without one."""
    features = [profile for profile in profiles if profile.kind != "volume"]
    found = count_bins(con, rows, [profile.bins for profile in features], block)
    names = [profile.feature for profile in features]
    return {key: dict(zip(names, counted, strict=True)) for key, counted in found.items()}


def compare(
    profiles: Sequence[FeatureProfile], counted: Mapping[str, Counted], policy: MonitoringPolicy
) -> list[FeatureDrift]:
    """What ``measure`` says of rows that have been counted, by feature."""
    rows = max((each.rows for each in counted.values()), default=0)
    return [
        _volume(profile, rows, policy)
        if profile.kind == "volume"
        else _feature(profile, counted[profile.feature], policy)
        for profile in profiles
    ]


def judge_day(drifts: Sequence[FeatureDrift], policy: MonitoringPolicy) -> DayVerdict:
    """Judge a day by its features: breached if those that breached weigh at least ``policy.share``.

    With too few rows it is not judged, but a volume outside its limits is broken data however few rows there are.
    """
    rows = max((drift.rows for drift in drifts), default=0)
    enough = rows >= policy.minimum_rows
    broken = [drift for drift in drifts if drift.broken and (enough or drift.kind == "volume")]
    named = "; ".join(f"{drift.feature}: {drift.reason}" for drift in broken)
    blamed = f" The data looks broken, so nothing is retrained: {named}. Look at the source and its checks."
    if not enough:
        words = f"Not judged: {rows} rows, and at least {policy.minimum_rows} are needed."
        return DayVerdict(
            0.0, False, rows, False, broken=bool(broken), reason=words + (blamed if broken else "")
        )
    features = [drift for drift in drifts if drift.kind != "volume"]
    share = round(math.fsum(drift.weight for drift in features if drift.breached), 12)
    breached = share >= policy.share
    moved = sum(drift.breached for drift in features)
    words = f"{moved} of {len(features)} features breached; they carry {share:.0%} of the model's weight"
    words += f", {'at or above' if breached else 'below'} the limit of {policy.share:.0%}."
    words += blamed if broken else ""
    return DayVerdict(share, breached, rows, enough_rows=True, broken=bool(broken), reason=words)


def drifting(days: Sequence[DayVerdict], policy: MonitoringPolicy) -> bool:
    """Whether the newest of ``days``, oldest first, makes a drift.

    It is breached, and so are ``policy.breaches`` of the last ``policy.of_last`` days with it. Broken days don't count.
    """
    last = [day.breached and not day.broken for day in days[-policy.of_last :]]
    return bool(last) and last[-1] and sum(last) >= policy.breaches


def _feature(profile: FeatureProfile, counted: Counted, policy: MonitoringPolicy) -> FeatureDrift:
    trained, values = sum(profile.coarse), sum(counted.counts)
    coarse = grouped(counted.counts, profile.groups)
    used = sum(count > 0 for count in profile.coarse)
    nulls = profile.null_threshold + share_by_chance(profile.null_share, counted.rows)
    drift = FeatureDrift(
        feature=profile.feature,
        kind=profile.kind,
        psi=psi(profile.coarse, coarse),
        psi_threshold=max(profile.psi_threshold, psi_by_chance(used, trained, values)),
        jensen_shannon=jensen_shannon(profile.coarse, coarse) if trained and values else None,
        null_share=counted.null_share,
        null_threshold=min(1.0, nulls),
        weight=profile.weight,
        rows=counted.rows,
        **(_numbers(profile, counted) if profile.kind == "numeric" else _categories(profile, counted)),
    )
    appeared = [f"{values} rows have a value, in training none had one"] if values and not trained else []
    broken, moved = _broken(drift, policy), _moved(drift) + appeared
    return replace(
        drift,
        breached=bool(broken or moved),
        broken=bool(broken),
        reason="; ".join(broken + moved) or None,
    )


def _numbers(profile: FeatureProfile, counted: Counted) -> dict[str, Any]:
    """What only numbers have."""
    before = profile.histogram
    after = histogram_of(profile.edges, counted.counts, counted.lowest, counted.highest)
    threshold = profile.shift_threshold or 0.0
    found: dict[str, Any] = {"mean": counted.mean, "low": counted.lowest, "high": counted.highest}
    found["shift_threshold"] = threshold
    if before is None or after is None:
        return found
    found["ks"], found["ks_p"] = kolmogorov_smirnov(before.counts, after.counts)
    if profile.deviation and profile.mean is not None and counted.mean is not None:
        chance = wasserstein_by_chance(before, after.rows) / profile.deviation
        found["shift"] = wasserstein(before, after) / profile.deviation
        found["shift_threshold"] = max(threshold, chance)
        found["mean_shift"] = (counted.mean - profile.mean) / profile.deviation
    return found


def _categories(profile: FeatureProfile, counted: Counted) -> dict[str, Any]:
    """What only categories have."""
    trained, values = sum(profile.counts), sum(counted.counts)
    if not trained or not values:
        return {"unseen_share": 0.0}
    statistic, freedom, p = chi_square(profile.counts, counted.counts)
    return {
        "chi_square": statistic,
        "chi_square_freedom": freedom,
        "chi_square_p": p,
        "unseen_share": max(
            0.0, counted.counts[-1] / values - profile.shares[-1], _never_seen(profile, counted)
        ),
    }


def _never_seen(profile: FeatureProfile, counted: Counted) -> float:
    """The share of values that training never had, those counted in that share a bit with one that it had."""
    if not profile.seen:
        return 0.0
    told = 1 - share_set(profile.seen)
    return min(1.0, counted.unseen / sum(counted.counts) / told if told else 0.0) - profile.novel_share


def _broken(drift: FeatureDrift, policy: MonitoringPolicy) -> list[str]:
    """In words, what says that the data is broken."""
    said = []
    if drift.null_share > drift.null_threshold:
        said.append(
            f"{drift.null_share:.1%} of the rows are null, at most {drift.null_threshold:.1%} were expected"
        )
    if drift.unseen_share is not None and drift.unseen_share > policy.unseen:
        said.append(
            f"{drift.unseen_share:.1%} of the values are categories that training rarely or never saw"
        )
    if drift.mean_shift is not None and abs(drift.mean_shift) > policy.implausible:
        said.append(
            f"the mean moved by {drift.mean_shift:+.1f} training deviations, and more than {policy.implausible:g} "
            "are implausible"
        )
    return said


def _moved(drift: FeatureDrift) -> list[str]:
    """In words, what says that the feature has moved."""
    said = []
    if drift.psi > drift.psi_threshold:
        said.append(f"PSI {drift.psi:.2f} is above the threshold of {drift.psi_threshold:.2f}")
    if drift.shift is not None and drift.shift_threshold is not None and drift.shift > drift.shift_threshold:
        said.append(
            f"the values moved by {drift.shift:.2f} training deviations, above the threshold of "
            f"{drift.shift_threshold:.2f}"
        )
    if said and drift.mean_shift is not None:
        said[-1] += f", the mean by {drift.mean_shift:+.2f}"
    return said


def _volume(profile: FeatureProfile, rows: int, policy: MonitoringPolicy) -> FeatureDrift:
    least, most = policy.volume[0] * (profile.lowest or 0.0), policy.volume[1] * (profile.highest or 0.0)
    broken = not least <= rows <= most
    return FeatureDrift(
        feature=profile.feature,
        kind=profile.kind,
        psi=0.0,
        psi_threshold=profile.psi_threshold,
        null_share=0.0,
        null_threshold=profile.null_threshold,
        mean=float(rows),
        mean_shift=(rows - (profile.mean or 0.0)) / profile.deviation if profile.deviation else None,
        breached=broken,
        broken=broken,
        reason=f"{rows:,} rows; between {least:,.0f} and {most:,.0f} were expected" if broken else None,
        weight=profile.weight,
        rows=rows,
    )
