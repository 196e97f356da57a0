"""The frames a model reads: their pandera contract, and the numeric matrix made of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ml_assets.lake.sql import quote
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Categories = Mapping[str, Sequence[str]]
TEXT = "VARCHAR"
LARGEST = 3.4028234663852886e38
"""The largest number that 32 bits hold, as estimators count: a larger one would be infinite."""


class FrameError(Exception):
    """A training set or scoring input that breaks its promise; the message names column, rule and rows."""


def check_frame(
    frame: "pd.DataFrame", schema: Mapping[str, str], *, entity: Sequence[str], target: Target | None
) -> "pd.DataFrame":
    """Check a frame against the snapshot's schema with pandera, and return it with the model's dtypes.

    ``schema`` maps feature columns to DuckDB types: numbers become float64 (no infinities), booleans and
    text strings. Entity and as_of are never null and unique together. With a ``target`` the label is one of
    its classes or, of a regression, finite; a column ``weight`` is more than 0. Raises FrameError.
    """
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    missing = [name for name in (*entity, "as_of", *schema) if name not in frame]
    if missing:
        raise FrameError(
            f"The frame has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}. "
            "Materialize the snapshot again if the feature was declared since."
        )
    frame = frame.copy()
    finite = pa.Check(lambda s: s.abs() != float("inf"), name="finite", error="a finite number")
    columns = {name: pa.Column(nullable=False) for name in (*entity, "as_of")}
    for name, sql_type in schema.items():
        if sql_type in (TEXT, "BOOLEAN"):
            frame[name] = frame[name].astype("string").astype(object)
            columns[name] = pa.Column(object, nullable=True)
        else:
            frame[name] = frame[name].astype("float64")
            columns[name] = pa.Column("float64", finite, nullable=True)
    if target is not None and target.is_classes:
        classes = pa.Check.isin(list(range(len(target.classes))))
        columns["label"] = pa.Column(int, classes, nullable=False, coerce=True)
    elif target is not None:
        columns["label"] = pa.Column("float64", finite, nullable=False, coerce=True)
    if target is not None and "weight" in frame:
        columns["weight"] = pa.Column("float64", [finite, pa.Check.gt(0)], nullable=False, coerce=True)
    try:
        return pa.DataFrameSchema(columns, unique=[*entity, "as_of"], strict=False).validate(
            frame, lazy=True, inplace=True
        )
    except SchemaErrors as errors:
        cases = errors.failure_cases.groupby(["column", "check"], dropna=False)["failure_case"]
        found = "; ".join(
            f"{column}: {check} fails for {len(values)} rows (for example {values.iloc[0]})"
            for (column, check), values in cases
        )
        raise FrameError(
            f"The {'scoring input' if target is None else 'training set'} breaks its contract. {found}. "
            "Look at the snapshot's checks first: a wrong value there comes from an expression or from an event."
        ) from errors


def usable_rows(
    frame: "pd.DataFrame", schema: Mapping[str, str], *, entity: Sequence[str]
) -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """The rows that an estimator can take, and in words those that it can't: one has a number beyond 32 bits.

    ``schema`` maps feature columns to DuckDB types; a column ``label`` or ``weight`` counts too.
    """
    import numpy as np

    left_out, told = np.zeros(len(frame), dtype=bool), []
    for name in (*_numbers(schema), "label", "weight"):
        if name not in frame:
            continue
        wrong = _beyond(frame[name].to_numpy(dtype="float64", na_value=np.nan))
        left_out |= wrong
        for place in wrong.nonzero()[0]:
            row = frame.iloc[place]
            whose = ", ".join(f"{key} {row[key]}" for key in (*entity, "as_of"))
            told.append(
                f"{name} of {whose} is {row[name]:g}, beyond {LARGEST:.2g}: the row is left out. Look at the events of "
                "that entity, and give the column a rule."
            )
    return (frame[~left_out], tuple(told)) if told else (frame, ())


def is_usable(schema: Mapping[str, str]) -> str:
    """SQL of whether a row's numbers are such as ``usable_rows`` leaves in."""
    held = [
        f"abs({quote(name)}::DOUBLE) > {LARGEST!r} AND NOT isnan({quote(name)}::DOUBLE)"
        for name in _numbers(schema)
    ]
    return f"NOT coalesce({' OR '.join(f'({one})' for one in held) or 'false'}, false)"


def _numbers(schema: Mapping[str, str]) -> list[str]:
    return [name for name, kind in schema.items() if kind not in (TEXT, "BOOLEAN")]


def _beyond(values: "np.ndarray") -> "np.ndarray":
    """Of each number whether 32 bits can't hold it; nulls and NaN can be held."""
    import numpy as np

    wrong: np.ndarray = np.abs(values) > LARGEST
    return wrong


def _held(frame: "pd.DataFrame", name: str) -> "np.ndarray":
    """The numbers of a column, in 64 bits. Raises FrameError where 32 can't hold one."""
    values = frame[name].to_numpy(dtype="float64", na_value=float("nan"))
    wrong = _beyond(values).nonzero()[0]
    if len(wrong):
        raise FrameError(
            f"{name} is {values[wrong[0]]:g} in row {frame.index[wrong[0]]}, and {len(wrong)} rows in all are beyond "
            f"{LARGEST:.2g}, the largest number of 32 bits. Leave these rows out, or give the column a rule."
        )
    return values


def categories_of(frame: "pd.DataFrame", schema: Mapping[str, str]) -> dict[str, list[str]]:
    """The categories of every text and boolean column, sorted; the code of a category is its position."""
    return {
        name: sorted(frame[name].dropna().unique())
        for name, sql_type in schema.items()
        if sql_type in (TEXT, "BOOLEAN")
    }


def to_matrix(frame: "pd.DataFrame", columns: Sequence[str], categories: Categories) -> "pd.DataFrame":
    """A frame of float64 in the order of ``columns``: categories as codes, unseen and null ones as NaN."""
    import pandas as pd

    matrix = {
        name: frame[name]
        .map({value: float(code) for code, value in enumerate(categories[name])})
        .astype("float64")
        if name in categories
        else _held(frame, name)
        for name in columns
    }
    return pd.DataFrame(matrix, index=frame.index)


def to_floats(frame: "pd.DataFrame", columns: Sequence[str], categories: Categories) -> "np.ndarray":
    """What ``to_matrix`` gives, as float32 of shape (n, columns) in one piece: a quarter of its memory at the peak."""
    import numpy as np

    floats = np.empty((len(frame), len(columns)), dtype="float32")
    for position, name in enumerate(columns):
        if name in categories:
            codes = {value: float(code) for code, value in enumerate(categories[name])}
            floats[:, position] = frame[name].map(codes).astype("float64")
        else:
            floats[:, position] = _held(frame, name)
    return floats
