"""The training profile: what every feature and the score looked like in the rows a model learnt from."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from ml_assets.monitoring.stability import psi

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["numeric", "categorical"]

SCORE = "score"
"""The column of the model's own output: profiled and watched like a feature, with weight 0."""
TOP_CATEGORIES = 20
QUANTILES = [tenth / 10 for tenth in range(1, 10)]
FEW_BLOCKS = 3
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
NUMERIC_TYPES = (*INTEGERS, *(f"U{name}" for name in INTEGERS), "FLOAT", "DOUBLE", "DECIMAL", '"NULL"')


class ProfileError(Exception):
    """Rows that can't be profiled or measured; the message names the column and what to do."""


@dataclass(frozen=True)
class FeatureProfile:
    """One feature of the training rows.

    ``edges`` are the inner edges of up to 10 bins of a numeric feature, strictly increasing; a bin includes
    its upper edge, the outer bins are open. ``categories`` are the up to 20 most frequent values of a
    categorical one. ``shares`` of the non-null values by bin sum to 1, the last of a categorical feature
    being all other values; they are all 0 if every value is null. ``mean`` and ``deviation`` (population
    standard deviation) are None without numbers. ``weight`` is the feature's share of what the model uses.
    ``threshold`` is the PSI, and ``null_threshold`` the share of nulls, above which a day is unlike training.
    """

    feature: str
    kind: Kind
    edges: list[float]
    categories: list[str]
    shares: list[float]
    null_share: float
    rows: int
    mean: float | None
    deviation: float | None
    weight: float
    threshold: float
    null_threshold: float

    @property
    def bins(self) -> "Bins":
        """The bins to count current rows by."""
        return Bins(self.feature, self.kind, self.edges, self.categories)

    @property
    def counts(self) -> list[float]:
        """The non-null training rows by bin."""
        values = self.rows * (1 - self.null_share)
        return [share * values for share in self.shares]


@dataclass(frozen=True)
class Bins:
    """How the values of one feature are counted."""

    feature: str
    kind: Kind
    edges: list[float]
    categories: list[str]


@dataclass(frozen=True)
class Counted:
    """One feature in some rows: non-null values by bin, nulls, and the mean (None without numbers)."""

    counts: list[int]
    nulls: int
    mean: float | None

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts) + self.nulls

    @property
    def null_share(self) -> float:
        """Nulls among all rows; 0 without rows."""
        return self.nulls / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class _Summary:
    bins: Bins
    mean: float | None
    deviation: float | None


def build_profile(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    block: str = "as_of",
    weights: Mapping[str, float] | None = None,
    floor: float = 0.1,
    seed: int = 0,
) -> list[FeatureProfile]:
    """Profile the training rows in two scans, in the order ``numeric``, ``categorical``.

    Numbers are compared as doubles; NaN and infinities count as nulls. Booleans are categorical, whichever
    list names them. ``weights`` is the model's importance by feature, scaled to sum to 1; a feature it
    doesn't name weighs nothing. Without weights, or if all are 0, every feature weighs the same. The score
    always weighs nothing.

    Thresholds are calibrated by leaving out one ``block`` (a column, usually the day) at a time and taking
    its PSI against the rest: the threshold is 1.5 times the largest, at least ``floor``. The threshold of
    nulls is their share plus 3 times the largest deviation of a block, at least 5%. With fewer than 3
    blocks there is nothing to calibrate by: a PSI of 0.2 (or ``floor``, if that is more) and 5% more nulls.

    Nothing is drawn at random, so every ``seed`` gives the same profile. Raises ProfileError where a column
    is missing or not of its kind, a weight is not a number >= 0, or there are no rows.
    """
    types = _types(rows, [*numeric, *categorical, block])
    kinds: dict[str, Kind] = {
        **{name: "categorical" if types[name] == "BOOLEAN" else "numeric" for name in numeric},
        **dict.fromkeys(categorical, "categorical"),
    }
    shares = _weights(list(kinds), weights)
    summaries = _summarise(con, rows, kinds, types)
    blocks = list(count_bins(con, rows, [s.bins for s in summaries], block).values())
    if not blocks:
        raise ProfileError("There are no training rows to profile. Materialize the training set first.")
    return [
        _profile(summary, [counted[position] for counted in blocks], shares[summary.bins.feature], floor)
        for position, summary in enumerate(summaries)
    ]


def count_bins(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    bins: Sequence[Bins],
    block: str | None = None,
) -> dict[Hashable, list[Counted]]:
    """Count the rows by bin, for every feature at once and for every value of ``block``, in one scan.

    The lists follow ``bins``. Without ``block`` there is one entry, None, even if there are no rows.
    Raises ProfileError where a column is missing or not of its kind.
    """
    types = _types(rows, [b.feature for b in bins] + ([block] if block else []))
    picked = ["count(*)"]
    for b in bins:
        value = _value(b.feature, b.kind, types[b.feature])
        mean = f"favg({value})" if b.kind == "numeric" else "NULL"
        picked += [_histogram(b, value), mean]
    key, grouped = (_quoted(block), " GROUP BY 1 ORDER BY 1") if block else ("NULL", "")
    sql = f"SELECT {key}, {', '.join(picked)} FROM counted_rows{grouped}"
    rows.create_view("counted_rows", replace=True)
    return {
        key: [_counted(b, total, found[2 * i], found[2 * i + 1]) for i, b in enumerate(bins)]
        for key, total, *found in con.execute(sql).fetchall()
    }


def profile_rows(profiles: Sequence[FeatureProfile], version: int) -> "pa.Table":
    """The profiles as rows of a table, ``model_version`` BIGINT first, then the fields of FeatureProfile."""
    import pyarrow as pa

    numbers, texts = pa.list_(pa.float64()), pa.list_(pa.string())
    types = {"edges": numbers, "shares": numbers, "categories": texts}
    types |= {"feature": pa.string(), "kind": pa.string(), "rows": pa.int64()}
    names = [field.name for field in fields(FeatureProfile)]
    schema = pa.schema(
        [("model_version", pa.int64())] + [(name, types.get(name, pa.float64())) for name in names]
    )
    return pa.Table.from_pylist([{"model_version": version} | asdict(p) for p in profiles], schema=schema)


def profiles_from_rows(table: "pa.Table") -> list[FeatureProfile]:
    """The profiles of one model version, from rows made by ``profile_rows``; other columns are left out.

    Raises ProfileError if there are none, or if they are of more than one version.
    """
    names = [field.name for field in fields(FeatureProfile)]
    found = table.to_pylist()
    versions = sorted({row["model_version"] for row in found})
    if len(versions) != 1:
        held = f"of versions {', '.join(map(str, versions))}" if versions else "empty"
        raise ProfileError(
            f"Expected the training profile of one model version; the table read is {held}. "
            "Filter it by model_version, or materialize the candidate again if its profile is missing."
        )
    return [FeatureProfile(**{name: row[name] for name in names}) for row in found]


def _types(rows: duckdb.DuckDBPyRelation, wanted: Sequence[str]) -> dict[str, str]:
    """The DuckDB type of every column. Raises ProfileError where a wanted one is missing."""
    types = {name: str(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    missing = [name for name in wanted if name not in types]
    if missing:
        raise ProfileError(
            f"The rows have no column {', '.join(missing)}; they have {', '.join(types)}. Materialize the "
            "snapshot of these days again if the feature was declared since; train again if it was renamed."
        )
    return types


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
        value = _value(name, kind, types[name])
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
        return _Summary(Bins(name, kind, [], most), None, None)
    quantiles, (mean, deviation) = found
    return _Summary(Bins(name, kind, _edges(quantiles or []), []), _rounded(mean), _rounded(deviation))


def _edges(quantiles: Sequence[float]) -> list[float]:
    """Inner edges from quantiles in order: a value that several of them share gets a bin of its own."""
    edges: set[float] = set()
    for value, same in groupby(quantiles):
        edges.add(value)
        if len(list(same)) > 1:
            edges.add(math.nextafter(value, -math.inf))
    return sorted(edges)


def _profile(summary: _Summary, blocks: Sequence[Counted], weight: float, floor: float) -> FeatureProfile:
    bins = summary.bins
    counts = [sum(column) for column in zip(*(b.counts for b in blocks), strict=True)]
    rows, values = sum(b.rows for b in blocks), sum(counts)
    null_share = (rows - values) / rows
    calibrated = len(blocks) >= FEW_BLOCKS
    largest = max(psi([n - m for n, m in zip(counts, b.counts, strict=True)], b.counts) for b in blocks)
    deviation = max(abs(b.null_share - null_share) for b in blocks)
    return FeatureProfile(
        feature=bins.feature,
        kind=bins.kind,
        edges=bins.edges,
        categories=bins.categories,
        shares=[count / values if values else 0.0 for count in counts],
        null_share=null_share,
        rows=rows,
        mean=summary.mean,
        deviation=summary.deviation,
        weight=weight,
        threshold=max(floor, 1.5 * largest if calibrated else 0.2),
        null_threshold=min(1.0, max(0.05, null_share + (3 * deviation if calibrated else 0.05))),
    )


def _value(name: str, kind: Kind, sql_type: str) -> str:
    """SQL of a feature's value: a finite double, or text. Booleans are spelt as in training frames."""
    column = _quoted(name)
    if kind == "numeric":
        if not sql_type.startswith(NUMERIC_TYPES):
            raise ProfileError(f"{name} is a {sql_type}, not a number. List it as categorical.")
        return f"(CASE WHEN isfinite({column}::DOUBLE) THEN {column}::DOUBLE END)"
    if sql_type == "BOOLEAN":
        return f"(CASE {column} WHEN true THEN 'True' WHEN false THEN 'False' END)"
    return f"{column}::VARCHAR"


def _histogram(bins: Bins, value: str) -> str:
    """SQL of a map from upper edge, or from position in the categories (0 for all others), to a count."""
    if bins.kind == "numeric":
        return f"histogram({value}, {_list(map(repr, [*bins.edges, math.inf]))}::DOUBLE[])"
    position = f"coalesce(list_position({_list(bins.categories)}::VARCHAR[], {value}), 0)"
    return f"histogram(CASE WHEN {value} IS NOT NULL THEN {position} END)"


def _counted(bins: Bins, total: int, found: Mapping[float, int] | None, mean: float | None) -> Counted:
    by_key = found or {}
    keys = [*bins.edges, math.inf] if bins.kind == "numeric" else [*range(1, len(bins.categories) + 1), 0]
    counts = [by_key.get(key, 0) for key in keys]
    return Counted(counts, total - sum(counts), _rounded(mean))


def _rounded(value: float | None) -> float | None:
    """12 significant digits, so that the order in which doubles were added doesn't show."""
    return None if value is None else float(f"{value:.12g}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"
