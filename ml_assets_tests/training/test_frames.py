import re
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.lake import connect
from ml_assets.training.frames import (
    FrameError,
    categories_of,
    check_frame,
    is_usable,
    to_floats,
    to_matrix,
    usable_rows,
)
from ml_assets.training.target import BINARY, REGRESSION, Target

SCHEMA = {"recency": "DOUBLE", "trips": "BIGINT", "favourite": "VARCHAR", "is_member": "BOOLEAN"}
GOOD: dict[str, list[Any]] = {
    "household_id": [1, 2, 1],
    "as_of": [date(2020, 1, 5), date(2020, 1, 5), date(2020, 1, 12)],
    "recency": [1.5, None, 3.0],
    "trips": [4, 0, 7],
    "favourite": ["MEAT", None, "DELI"],
    "is_member": [True, None, False],
    "label": [0, 1, 1],
}


def frame(**changed: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(GOOD | changed)


def test_a_good_frame_gets_the_models_types() -> None:
    given = frame()
    found = check_frame(given, SCHEMA, entity=["household_id"], target=BINARY)
    assert found["recency"].dtype == found["trips"].dtype == np.dtype("float64")
    assert found["favourite"].tolist()[::2] == ["MEAT", "DELI"]
    assert found["is_member"].tolist()[::2] == ["True", "False"]
    assert found["favourite"].isna().tolist() == found["is_member"].isna().tolist() == [False, True, False]
    pd.testing.assert_frame_equal(given, frame())


def test_a_scoring_input_needs_no_label() -> None:
    given = frame().drop(columns="label")
    assert len(check_frame(given, SCHEMA, entity=["household_id"], target=None)) == 3
    with pytest.raises(FrameError, match="The training set breaks its contract"):
        check_frame(given, SCHEMA, entity=["household_id"], target=BINARY)


def test_an_empty_frame_is_good() -> None:
    assert check_frame(frame().head(0), SCHEMA, entity=["household_id"], target=BINARY).empty


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"recency": [1.5, np.inf, -np.inf]}, r"recency: .*finite.* fails for 2 rows \(for example inf\)"),
        ({"household_id": [1, None, 1]}, "household_id: .*null.* fails for 1 rows"),
        ({"as_of": [date(2020, 1, 5), None, date(2020, 1, 12)]}, "as_of: .*null.* fails for 1 rows"),
        ({"as_of": [date(2020, 1, 5)] * 3}, "household_id.*unique|unique.*household_id"),
        ({"label": [0, 1, 2]}, r"label: .*isin.* fails for 1 rows \(for example 2\)"),
        ({"label": [0, None, 1]}, "label: "),
    ],
    ids=["infinity", "no entity", "no as_of", "twice", "another label", "no label"],
)
def test_a_bad_frame_names_column_rule_and_rows(changed: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(FrameError) as refused:
        check_frame(frame(**changed), SCHEMA, entity=["household_id"], target=BINARY)
    assert pd.Series([str(refused.value)]).str.contains(said).all(), str(refused.value)
    assert str(refused.value).startswith("The training set breaks its contract. ")
    assert "Look at the snapshot's checks first" in str(refused.value)


def test_every_problem_is_named_at_once() -> None:
    bad = frame(recency=[np.inf, 1.0, 2.0], label=[0, 1, 5])
    with pytest.raises(FrameError, match=r"label: .*; recency: "):
        check_frame(bad, SCHEMA, entity=["household_id"], target=BINARY)


def test_labels_and_weights_are_those_of_the_target() -> None:
    several = Target("multiclass", ("soon", "later", "never"))
    assert (
        check_frame(frame(label=[0, 1, 2]), SCHEMA, entity=["household_id"], target=several)["label"].sum()
        == 3
    )
    amounts = check_frame(frame(label=[0, -2.5, 7]), SCHEMA, entity=["household_id"], target=REGRESSION)
    assert amounts["label"].tolist() == [0.0, -2.5, 7.0]
    for bad in ([0.0, np.nan, 1.0], [0.0, np.inf, 1.0]):
        with pytest.raises(FrameError, match="label: "):
            check_frame(frame(label=bad), SCHEMA, entity=["household_id"], target=REGRESSION)
    assert "weight" in check_frame(frame(weight=[1, 0.5, 2]), SCHEMA, entity=["household_id"], target=BINARY)
    for bad in ([1.0, 0.0, 1.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0]):
        with pytest.raises(FrameError, match="weight: "):
            check_frame(frame(weight=bad), SCHEMA, entity=["household_id"], target=BINARY)


@pytest.mark.parametrize("missing", [["trips"], ["trips", "favourite"], ["household_id"], ["as_of"]], ids=str)
def test_a_missing_column_is_named(missing: list[str]) -> None:
    with pytest.raises(
        FrameError, match=rf"The frame has no column {', '.join(missing)}; it has .*Materialize"
    ):
        check_frame(frame().drop(columns=missing), SCHEMA, entity=["household_id"], target=None)


def test_categories_are_sorted_and_without_nulls() -> None:
    checked = check_frame(frame(), SCHEMA, entity=["household_id"], target=BINARY)
    assert categories_of(checked, SCHEMA) == {"favourite": ["DELI", "MEAT"], "is_member": ["False", "True"]}


def test_the_matrix_codes_categories_and_unseen_ones_as_nan() -> None:
    checked = check_frame(
        frame(favourite=["MEAT", None, "FUEL"]), SCHEMA, entity=["household_id"], target=BINARY
    )
    columns = ["favourite", "trips", "recency", "is_member"]
    matrix = to_matrix(checked, columns, {"favourite": ["DELI", "MEAT"], "is_member": ["False", "True"]})
    assert list(matrix) == columns
    assert set(matrix.dtypes) == {np.dtype("float64")}
    nan = np.nan
    np.testing.assert_array_equal(
        matrix.to_numpy(), [[1.0, 4.0, 1.5, 1.0], [nan, 0.0, nan, nan], [nan, 7.0, 3.0, 0.0]]
    )


def test_the_matrix_of_a_column_of_nulls_only() -> None:
    checked = check_frame(frame(favourite=[None] * 3), SCHEMA, entity=["household_id"], target=BINARY)
    assert to_matrix(checked, ["favourite"], {"favourite": ["DELI"]})["favourite"].isna().all()


def test_the_matrix_keeps_the_index() -> None:
    checked = check_frame(frame(), SCHEMA, entity=["household_id"], target=BINARY).iloc[[2, 0]]
    assert to_matrix(checked, ["trips"], {}).index.tolist() == [2, 0]


@pytest.mark.parametrize("make", [to_matrix, to_floats])
@pytest.mark.parametrize("value", [1e39, -1e300, np.inf])
def test_a_number_beyond_32_bits_is_told_by_column_and_row(make: Any, value: float) -> None:
    given = frame(recency=[1.5, None, value]).astype({"recency": "float64"})
    with pytest.raises(
        FrameError, match=f"recency is {re.escape(f'{value:g}')} in row 2, and 1 rows in all are beyond"
    ):
        make(given, ["trips", "recency"], {})


def test_a_row_with_such_a_number_is_left_out_alone() -> None:
    given = frame(recency=[1e39, None, 3.4e38], trips=[4, 0, 7], label=[0.0, -1e40, 1.0])
    kept, told = usable_rows(given, SCHEMA, entity=["household_id"])
    assert kept.index.tolist() == [2]
    assert [said.partition(",")[0] for said in told] == [
        "recency of household_id 1",
        "label of household_id 2",
    ]
    assert "as_of 2020-01-05 is 1e+39, beyond 3.4e+38: the row is left out" in told[0]
    assert usable_rows(frame(), SCHEMA, entity=["household_id"])[1] == ()


def test_sql_leaves_in_the_same_rows() -> None:
    given = frame(recency=[1e39, None, 3.4e38], is_member=[True, None, False])
    more = pd.concat([given, frame(recency=[np.inf, -1e39, np.nan])])
    with connect() as con:
        left = con.from_df(more.drop(columns="is_member")).filter(is_usable(SCHEMA)).df()
    kept, _ = usable_rows(more, SCHEMA, entity=["household_id"])
    assert left["recency"].fillna(-1).tolist() == kept["recency"].fillna(-1).tolist()
    assert is_usable({"favourite": "VARCHAR"}) == "NOT coalesce(false, false)"
