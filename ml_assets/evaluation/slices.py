"""The rows of a holdout by the values of one column: text as it is, numbers in a few bins."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.arrays import ROLES, Floats, labels_of, roles_of
from ml_assets.evaluation.metrics import metrics_of
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

BINS = 5
"""A column of numbers with more distinct values is split into up to so many bins of about equal count."""
NO_VALUE = "(none)"
"""How the rows without a value are called."""


@dataclass(frozen=True)
class SliceRow:
    """One value of a column. A role's number is None without such a score, nan where undefined."""

    value: str
    n: int
    positives: int | None
    """Rows with label 1; None where labels are not 0 or 1."""
    mean_label: float
    metric: str
    candidate: float | None
    champion: float | None
    baseline: float | None
    calibration_ratio: float | None
    """The candidate's."""

    def of(self, role: str) -> float | None:
        """The metric of one role."""
        return {"candidate": self.candidate, "champion": self.champion, "baseline": self.baseline}[role]


def by_slice(frame: "pd.DataFrame", column: str, target: Target, metric: str) -> list[SliceRow]:
    """The metric of every role per value of ``column``, which must not be missing (KeyError).

    Bins of numbers come in their order, texts by size, the rows without a value last.
    """
    parts = parts_of(frame, column)
    return [_slice_row(value, part, target, metric) for value, part in parts.items()]


def parts_of(frame: "pd.DataFrame", column: str) -> dict[str, "pd.DataFrame"]:
    """The rows per value or bin of ``column``, every row once; the order of ``by_slice``. KeyError if missing."""
    named = values_of(frame, column)
    return {value: frame[(named == value).to_numpy()] for value in named.cat.categories}


def values_of(frame: "pd.DataFrame", column: str) -> "pd.Series":
    """Each row's value or bin as an ordered category, in the order of ``by_slice``. KeyError if missing."""
    import pandas as pd

    if column not in frame:
        raise KeyError(
            f"slice column {column!r} is not in the holdout; its columns: {', '.join(map(str, frame))}"
        )
    values = frame[column]
    if _is_number(values):
        named, order = _binned(values)
    else:
        named = values.astype(object).where(values.notna()).map(_text)
        sizes = named.value_counts()
        order = sorted(sizes.index, key=lambda value: (-sizes[value], value))
    order += [NO_VALUE] if named.isna().any() and NO_VALUE not in order else []
    filled = named.astype(object).where(named.notna(), NO_VALUE)
    return pd.Series(pd.Categorical(filled, categories=order, ordered=True), index=frame.index)


def _is_number(values: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(values) and not is_bool_dtype(values)


def _text(value: object) -> object:
    return value if value is None or value != value else str(value)


def _binned(values: "pd.Series") -> tuple["pd.Series", list[str]]:
    """Each number's bin, named by the smallest and the largest number in it; the names in their order."""
    import pandas as pd

    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    known = np.unique(numbers[~np.isnan(numbers)])
    tops = known
    if len(known) > BINS:
        shares = np.arange(1, BINS + 1) / BINS
        tops = np.unique(np.nanquantile(numbers, shares, method="inverted_cdf"))
    ends = np.searchsorted(known, tops)
    starts = np.r_[0, ends[:-1] + 1] if len(ends) else ends
    names = _names(known[starts], known[ends])
    which = np.array([*names, None], dtype=object)[
        np.where(np.isnan(numbers), -1, np.searchsorted(tops, numbers))
    ]
    return pd.Series(which, index=values.index, dtype=object), names


def _names(lows: Floats, highs: Floats) -> list[str]:
    """ "7 to 14", with as few digits as tell all the bins' ends apart."""
    ends = np.unique(np.r_[lows, highs])
    for digits in range(4, 18):
        said = {end: f"{end:.{digits}g}" for end in ends}
        if len(set(said.values())) == len(ends):
            break
    said = {end: f"{end:.0f}" if end.is_integer() and abs(end) < 1e15 else text for end, text in said.items()}
    return [
        said[low] if low == high else f"{said[low]} to {said[high]}"
        for low, high in zip(lows, highs, strict=True)
    ]


def _slice_row(value: str, part: "pd.DataFrame", target: Target, metric: str) -> SliceRow:
    known = {role: metrics_of(target, part, role) for role in roles_of(part)}
    numbers = {role: float(known[role][metric]) if role in known else None for role in ROLES}
    labels = labels_of(target, part)
    positives = int(labels.sum()) if target.kind == "binary" else None
    ratio = float(known["candidate"]["calibration_ratio"]) if "candidate" in known else None
    return SliceRow(
        value, len(part), positives, float(labels.mean()), metric, **numbers, calibration_ratio=ratio
    )
