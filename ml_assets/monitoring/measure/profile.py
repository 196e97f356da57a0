"""The training profile: what every feature and the score looked like in the rows a model learnt from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import date
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.lake import records
from ml_assets.lake.sql import quote
from ml_assets.monitoring.measure.counting import (
    Bins,
    Counted,
    Kind,
    ProfileError,
    count_bins,
    rounded,
    seen_bits,
    types_of,
    value_of,
)
from ml_assets.monitoring.measure.statistics import Histogram, psi, wasserstein
from ml_assets.monitoring.tables import PROFILES

if TYPE_CHECKING:
    import pyarrow as pa

SCORE = "score"
"""The column of the model's own output: profiled and watched like a feature, with weight 0."""
VOLUME = "rows"
"""The pseudo-feature that stands for the number of rows of a day, with weight 0."""
TOP_CATEGORIES = 20
QUANTILES = [0.001, 0.005, 0.01, *(n / 50 for n in range(1, 50)), 0.99, 0.995, 0.999]
"""Fine bins of 2%, and finer ones at the ends, where a few large values decide the distance."""
GROUPS = 10
"""How many groups of fine bins PSI is taken over, at most: over more it is mostly noise."""
FEW_BLOCKS = 3
MARGIN = 1.5
"""A threshold is so many times the largest distance that a left-out block had from the others."""
UNCALIBRATED = 0.2
LEAST_NULLS = 0.05


@dataclass(frozen=True)
class FeatureProfile:
    """One feature of the training rows.

    ``edges`` are the inner edges of up to 56 fine bins of a numeric feature, strictly increasing; a bin includes
    its upper edge, the outer bins are open; a value shared by several quantiles has a bin of its own.
    ``categories`` are the up to 20 most frequent values of a categorical one; if there were more, ``seen`` has a bit
    for each of them all, and ``novel_share`` is the largest share of a block's values that no other block had.
    ``shares`` of the non-null values
    by bin sum to 1, the last of a categorical feature being all other values; they are all 0 if every value is
    null. ``lowest``, ``highest``, ``mean`` and ``deviation`` (population standard deviation) are None without
    numbers. ``weight`` is the feature's share of what the model uses. Above ``psi_threshold``,
    ``shift_threshold`` (in training deviations; None of categories) or ``null_threshold`` (share of nulls) a day is
    unlike training.

    Of the kind volume there is one, named ``rows``: ``mean``, ``deviation``, ``lowest`` and ``highest`` are of the
    number of rows of a block, and it has no bins.
    """

    feature: str
    kind: Kind
    edges: list[float]
    categories: list[str]
    shares: list[float]
    null_share: float
    rows: int
    lowest: float | None
    highest: float | None
    mean: float | None
    deviation: float | None
    weight: float
    psi_threshold: float
    shift_threshold: float | None
    null_threshold: float
    seen: bytes = b""
    novel_share: float = 0.0

    @property
    def bins(self) -> Bins:
        """The bins to count current rows by."""
        return Bins(self.feature, self.kind, self.edges, self.categories, self.seen)

    @cached_property
    def counts(self) -> list[float]:
        """The non-null training rows by bin."""
        values = self.rows * (1 - self.null_share)
        return [share * values for share in self.shares]

    @cached_property
    def groups(self) -> list[int]:
        """The coarse group of every bin: what PSI and the Jensen-Shannon distance are taken over."""
        return coarse_groups(self.shares) if self.kind == "numeric" else list(range(len(self.shares)))

    @cached_property
    def coarse(self) -> list[float]:
        """The non-null training rows by coarse group."""
        return grouped(self.counts, self.groups)

    @cached_property
    def histogram(self) -> Histogram | None:
        """The training values; None without numbers."""
        return histogram_of(self.edges, self.counts, self.lowest, self.highest)


def build_profile(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    block: str = "as_of",
    weights: Mapping[str, float] | None = None,
    psi_floor: float = 0.1,
    shift_floor: float = 0.1,
    volume: bool = True,
) -> list[FeatureProfile]:
    """Profile the training rows in two scans, in the order ``numeric``, ``categorical``, the volume.

    Numbers are compared as doubles; NaN and infinities count as nulls. Booleans are categorical, whichever
    list names them. ``weights`` is the model's importance by feature, scaled to sum to 1; a feature it
    doesn't name weighs nothing. Without weights, or if all are 0, every feature weighs the same. The score and
    the volume always weigh nothing. Without ``volume`` there is none: for training rows whose number by block
    says nothing about how many are scored on a day.

    Thresholds are calibrated by leaving out one ``block`` (a column, usually the day) at a time and taking
    its PSI and its shift (Wasserstein distance in training deviations) against the rest: a threshold is 1.5 times
    the largest, at least its floor. The threshold of nulls is their share plus 3 times the largest deviation of a
    block, at least 0.05. With fewer than 3 blocks there is nothing to calibrate by: a PSI and a shift of 0.2 (or the
    floor, if that is more) and 0.05 more nulls.

    Nothing is drawn at random. Raises ProfileError where a column is missing or not of its kind, a feature has the
    name of the volume, a weight is not a number >= 0, or there are no rows.
    """
    types = types_of(rows, [*numeric, *categorical, block])
    kinds: dict[str, Kind] = {
        **{name: "categorical" if types[name] == "BOOLEAN" else "numeric" for name in numeric},
        **dict.fromkeys(categorical, "categorical"),
    }
    if volume and VOLUME in kinds:
        raise ProfileError(
            f"A feature is named {VOLUME}, which stands for the number of rows. Rename the feature."
        )
    shares = _weights(list(kinds), weights)
    summaries = _summarise(con, rows, kinds, types)
    blocks = list(count_bins(con, rows, [s.bins for s in summaries], block).values())
    if not blocks:
        raise ProfileError("There are no training rows to profile. Materialize the training set first.")
    floors = (psi_floor, shift_floor)
    built = [
        _profile(summary, [counted[position] for counted in blocks], shares[summary.bins.feature], floors)
        for position, summary in enumerate(summaries)
    ]
    if len(blocks) >= FEW_BLOCKS:
        built = [
            replace(p, novel_share=_novel_share(con, value_of(p.feature, p.kind, types[p.feature]), block))
            if p.seen
            else p
            for p in built
        ]
    return [*built, _volume([counted[0].rows for counted in blocks], psi_floor)] if volume else built


def profile_rows(
    con: duckdb.DuckDBPyConnection, profiles: Sequence[FeatureProfile], *, version: int, cutoff: date
) -> duckdb.DuckDBPyRelation:
    """The profiles of a version as rows of the table ``profiles``."""
    about = {"model_version": version, "cutoff": cutoff}
    return records(con, [about | asdict(profile) for profile in profiles], PROFILES.types)


def profiles_from_rows(table: "pa.Table") -> list[FeatureProfile]:
    """The profiles of one model version, from rows made by ``profile_rows``; other columns are left out.

    Raises ProfileError if there are none, if they are of more than one version, or if they were stored by an
    earlier release of this project, which kept less.
    """
    names = [field.name for field in fields(FeatureProfile) if field.default is MISSING]
    found = table.to_pylist()
    versions = sorted({row["model_version"] for row in found})
    if len(versions) != 1:
        held = f"of versions {', '.join(map(str, versions))}" if versions else "empty"
        raise ProfileError(
            f"Expected the training profile of one model version; the table read is {held}. "
            "Filter it by model_version; where the profile of the champion is missing, go back to a version that has one, "
            "or materialize the candidate again and promote that version."
        )
    missing = [name for name in names if name not in table.column_names]
    if missing or any(row["psi_threshold"] is None for row in found):
        raise ProfileError(
            f"The training profile of version {versions[0]} was stored by an earlier release and has no "
            f"{', '.join(missing) or 'psi_threshold'}. Materialize the candidate of its cutoff again and promote that "
            "version."
        )
    return [
        FeatureProfile(
            **{name: row[name] for name in names},
            seen=row.get("seen") or b"",
            novel_share=row.get("novel_share") or 0.0,
        )
        for row in found
    ]


def coarse_groups(shares: Sequence[float]) -> list[int]:
    """The group of every fine bin: up to 10, of about the same mass.

    A bin that alone holds a tenth, a spike, is a group of its own; the others, in order, are dealt to groups of at
    most about a tenth each.
    """
    spikes = [place for place, share in enumerate(shares) if share >= 1 / GROUPS - 1e-9]
    others = [place for place in range(len(shares)) if place not in spikes]
    mass = math.fsum(shares[place] for place in others)
    number = max(1, math.ceil(GROUPS * mass - 1e-9))
    groups, before = [0] * len(shares), 0.0
    for place in others:
        middle = before + shares[place] / 2
        groups[place] = min(int(number * middle / mass), number - 1) if mass else 0
        before += shares[place]
    for group, place in enumerate(spikes, start=number if others else 0):
        groups[place] = group
    return groups


def grouped(counts: Sequence[float], groups: Sequence[int]) -> list[float]:
    """Counts by group, from counts by bin."""
    sums = [0.0] * (max(groups, default=-1) + 1)
    for count, group in zip(counts, groups, strict=True):
        sums[group] += count
    return sums


def histogram_of(
    edges: Sequence[float], counts: Sequence[float], lowest: float | None, highest: float | None
) -> Histogram | None:
    """The histogram of numbers, or None if there are none."""
    if lowest is None or highest is None:
        return None
    return Histogram(edges, counts, lowest, highest)


@dataclass(frozen=True)
class _Summary:
    bins: Bins
    mean: float | None
    deviation: float | None


def _weights(features: Sequence[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """Weights that sum to 1 over the features, the score apart."""
    given = dict(weights or {})
    for name, weight in given.items():
        if name not in features:
            raise ProfileError(
                f"There is a weight for {name}, but what is profiled is {', '.join(features)}."
            )
        if not math.isfinite(weight) or weight < 0:
            raise ProfileError(f"The weight of {name} is {weight}; a number of at least 0 is needed.")
    raw = {name: given.get(name, 0.0) if name != SCORE else 0.0 for name in features}
    if not sum(raw.values()):
        raw = {name: float(name != SCORE) for name in features}
    total = sum(raw.values()) or 1.0
    return {name: weight / total for name, weight in raw.items()}


def _summarise(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    kinds: Mapping[str, Kind],
    types: Mapping[str, str],
) -> list[_Summary]:
    """Bins, means and deviations of all features, in one scan."""
    picked = []
    for name, kind in kinds.items():
        value = value_of(name, kind, types[name])
        picked.append(
            f"[quantile_cont({value}, {QUANTILES}), [favg({value}), stddev_pop({value})]]"
            if kind == "numeric"
            else f"histogram({value})"
        )
    if not picked:
        raise ProfileError("No feature is named, so there is nothing to profile. Name at least one.")
    rows.create_view("summarised_rows", replace=True)
    (found,) = con.execute(f"SELECT {', '.join(picked)} FROM summarised_rows").fetchall()
    return [_summary(name, kind, value) for (name, kind), value in zip(kinds.items(), found, strict=True)]


def _summary(name: str, kind: Kind, found: Any) -> _Summary:
    if kind == "categorical":
        counts: dict[str, int] = found or {}
        most = sorted(counts, key=lambda value: (-counts[value], value))[:TOP_CATEGORIES]
        seen = seen_bits(counts) if len(counts) > TOP_CATEGORIES else b""
        return _Summary(Bins(name, kind, [], most, seen), None, None)
    quantiles, (mean, deviation) = found
    return _Summary(Bins(name, kind, _edges(quantiles or []), []), rounded(mean), rounded(deviation))


def _novel_share(con: duckdb.DuckDBPyConnection, value: str, block: str) -> float:
    """The largest share of a block's values that no other block has, of the rows that were summarised."""
    ((share,),) = con.execute(
        f"WITH counted AS (SELECT {value} AS value, {quote(block)} AS block, count(*) AS n FROM summarised_rows "
        f"WHERE {value} IS NOT NULL GROUP BY ALL), "
        "alone AS (SELECT any_value(block) AS block, sum(n) AS n FROM counted GROUP BY value HAVING count(*) = 1), "
        "by_block AS (SELECT block, sum(n) AS n FROM counted GROUP BY 1), "
        "novel AS (SELECT block, sum(n) AS n FROM alone GROUP BY 1) "
        "SELECT max(coalesce(novel.n, 0) / by_block.n) FROM by_block LEFT JOIN novel USING (block)"
    ).fetchall()
    return float(share)


def _edges(quantiles: Sequence[float]) -> list[float]:
    """Inner edges from quantiles in order: a value that several of them share gets a bin of its own."""
    edges: set[float] = set()
    for value, same in groupby(quantiles):
        edges.add(value)
        if len(list(same)) > 1:
            edges.add(math.nextafter(value, -math.inf))
    return sorted(edges)


def _profile(
    summary: _Summary, blocks: Sequence[Counted], weight: float, floors: tuple[float, float]
) -> FeatureProfile:
    bins = summary.bins
    counts = [sum(column) for column in zip(*(b.counts for b in blocks), strict=True)]
    rows, values = sum(b.rows for b in blocks), sum(counts)
    null_share = (rows - values) / rows
    shares = [count / values if values else 0.0 for count in counts]
    calibrated = len(blocks) >= FEW_BLOCKS
    least_psi, least_shift = (floor if calibrated else max(floor, UNCALIBRATED) for floor in floors)
    farthest_psi, farthest_shift = _farthest(summary, blocks, counts, shares) if calibrated else (0.0, 0.0)
    deviation = max(abs(b.null_share - null_share) for b in blocks)
    return FeatureProfile(
        feature=bins.feature,
        kind=bins.kind,
        edges=bins.edges,
        categories=bins.categories,
        shares=shares,
        null_share=null_share,
        rows=rows,
        lowest=min((b.lowest for b in blocks if b.lowest is not None), default=None),
        highest=max((b.highest for b in blocks if b.highest is not None), default=None),
        mean=summary.mean,
        deviation=summary.deviation,
        weight=weight,
        psi_threshold=max(least_psi, MARGIN * farthest_psi),
        shift_threshold=max(least_shift, MARGIN * farthest_shift) if bins.kind == "numeric" else None,
        null_threshold=min(1.0, null_share + max(LEAST_NULLS, 3 * deviation if calibrated else 0.0)),
        seen=bins.seen,
    )


def _farthest(
    summary: _Summary, blocks: Sequence[Counted], counts: Sequence[int], shares: Sequence[float]
) -> tuple[float, float]:
    """The largest PSI and the largest shift of a block against all the others."""
    groups = coarse_groups(shares) if summary.bins.kind == "numeric" else list(range(len(shares)))
    largest_psi, largest_shift = 0.0, 0.0
    for block in blocks:
        rest = [n - m for n, m in zip(counts, block.counts, strict=True)]
        largest_psi = max(largest_psi, psi(grouped(rest, groups), grouped(block.counts, groups)))
        others = [b for b in blocks if b is not block and b.lowest is not None and b.highest is not None]
        here = histogram_of(summary.bins.edges, block.counts, block.lowest, block.highest)
        if here and others and summary.deviation:
            lowest, highest = min(b.lowest or 0.0 for b in others), max(b.highest or 0.0 for b in others)
            there = Histogram(summary.bins.edges, rest, lowest, highest)
            largest_shift = max(largest_shift, wasserstein(there, here) / summary.deviation)
    return largest_psi, largest_shift


def _volume(rows: Sequence[int], psi_floor: float) -> FeatureProfile:
    """The profile of the number of rows by block. It has no bins, so its PSI is 0."""
    mean = sum(rows) / len(rows)
    return FeatureProfile(
        feature=VOLUME,
        kind="volume",
        edges=[],
        categories=[],
        shares=[],
        null_share=0.0,
        rows=sum(rows),
        lowest=float(min(rows)),
        highest=float(max(rows)),
        mean=rounded(mean),
        deviation=rounded(math.sqrt(sum((n - mean) ** 2 for n in rows) / len(rows))),
        weight=0.0,
        psi_threshold=psi_floor,
        shift_threshold=None,
        null_threshold=1.0,
    )
