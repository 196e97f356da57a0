from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ml_assets.features import Entity
from ml_assets.features.tables import SNAPSHOT
from ml_assets.lake import Lake, LakeError, Provenance, Table
from ml_assets.lake.schema import StoredColumn, types_of
from ml_assets.training import Cutoffs, Label, Train
from ml_assets.training.tables import LABELS, label_column, training_set_schema
from ml_assets.training.training_set import TrainingSet, build_training_set

START, WEEK = date(2017, 4, 2), timedelta(weeks=1)
WEEKS = [START + n * WEEK for n in range(14)]
CUTOFF = WEEKS[12]
LABEL, TRAIN = Label(absent="true", within="14d"), Train(history=8, tune=2)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Table, Table]:
    lake = Lake(str(tmp_path))
    return SNAPSHOT.table(lake, "group"), LABELS.table(lake, "lapse")


def write(
    con: duckdb.DuckDBPyConnection,
    tables: tuple[Table, Table],
    *,
    order: str = "as_of, household_id",
    recency: str = "household_id * 1.5",
    matures: str = "as_of + 14",
    weeks: Sequence[date] = WEEKS,
) -> None:
    """Households 1 to 3 at every week, in snapshots and labels; 4 in snapshots, 5 in labels only."""
    snapshot, labels = tables
    days = ", ".join(f"(DATE '{day}')" for day in weeks)
    everyone = f"FROM (VALUES {days}) AS days(as_of), range(1, 6) AS households(household_id)"
    snapshot.replace(
        con.sql(
            f"SELECT household_id, as_of, ({recency})::DOUBLE AS recency, "
            f"CASE WHEN household_id <> 2 THEN 'd' || household_id END AS favourite, 7 AS unused {everyone} "
            f"WHERE household_id < 5 ORDER BY {order}"
        ),
        between=(WEEKS[0], WEEKS[-1]),
        provenance=Provenance(),
    )
    labels.replace(
        con.sql(
            f"SELECT household_id, as_of, (household_id % 2)::INTEGER AS label, {matures} AS matures {everyone} "
            f"WHERE household_id <> 4 ORDER BY {order}"
        ),
        between=(WEEKS[0], WEEKS[-1]),
        provenance=Provenance(),
    )


def build(
    con: duckdb.DuckDBPyConnection,
    tables: tuple[Table, Table],
    cutoff: date = CUTOFF,
    features: Sequence[str] = ("recency", "favourite"),
    train: Train = TRAIN,
) -> TrainingSet:
    return build_training_set(
        con,
        *tables,
        cutoff,
        entity=Entity("household_id"),
        features=features,
        label=LABEL,
        cutoffs=Cutoffs(start=START),
        train=train,
    )


def of_schema(train: Train) -> dict[str, str]:
    """The columns that the schema says."""
    entity = [StoredColumn("household_id", "BIGINT", "The household.")]
    features = [StoredColumn("recency", "DOUBLE", "Days."), StoredColumn("favourite", "VARCHAR", "Which.")]
    return training_set_schema(entity, label_column(LABEL, "what came"), train, features).types


def test_a_feature_named_like_a_column_of_labels_is_the_feature(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    snapshot, _ = tables
    named = snapshot.read(con).project("*, as_of - 400 AS matures, 9 AS member")
    named.create("named")
    snapshot.replace(con.table("named"), between=(WEEKS[0], WEEKS[-1]), provenance=Provenance())
    rows = build(con, tables, features=("matures", "member")).rows
    labelled = rows.project("household_id, label, as_of - matures, member").distinct().order("household_id")
    assert labelled.fetchall() == [(household, household % 2, 400, 9) for household in (1, 2, 3)]


def test_labels_meet_the_features_of_their_own_as_of(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables, recency="household_id * 1000 + date_diff('day', DATE '2017-04-02', as_of)")
    built = build(con, tables)
    rows = built.rows
    assert types_of(rows) == of_schema(TRAIN)
    assert built.tune == tuple(WEEKS[9:11])
    assert built.train == tuple(WEEKS[3:8])
    wanted = [
        (
            CUTOFF,
            household,
            as_of,
            household % 2,
            "tune" if as_of in WEEKS[9:11] else "train",
            household * 1000.0 + (as_of - START).days,
            None if household == 2 else f"d{household}",
        )
        for as_of in [*WEEKS[3:8], *WEEKS[9:11]]
        for household in (1, 2, 3)
    ]
    assert rows.order("as_of, household_id").fetchall() == wanted
    assert built.unlabelled == ()


def test_a_label_that_matures_after_the_cutoff_never_gets_in(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables, matures=f"CASE household_id WHEN 1 THEN DATE '{CUTOFF}' ELSE DATE '{CUTOFF}' + 1 END")
    rows = build(con, tables).rows
    assert {row[1] for row in rows.fetchall()} == {1}


@pytest.mark.parametrize("week", range(1, 14))
def test_no_cutoff_ever_sees_a_label_of_its_future(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table], week: int
) -> None:
    write(con, tables)
    built = build(con, tables, WEEKS[week])
    as_ofs = {row[2] for row in built.rows.fetchall()}
    assert as_ofs == {*built.train, *built.tune}
    assert all(as_of + LABEL.horizon <= WEEKS[week] for as_of in as_ofs)


def test_the_digest_is_that_of_the_rows_in_any_order(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    digest = build(con, tables).digest
    write(con, tables, order="hash(household_id, as_of)")
    assert build(con, tables).digest == digest
    assert build(con, tables, features=("favourite", "recency")).digest == digest


@pytest.mark.parametrize(
    ("recency", "same"),
    [
        (
            f"CASE WHEN as_of = DATE '{WEEKS[3]}' AND household_id = 1 THEN 9 ELSE household_id * 1.5 END",
            False,
        ),
        ("CASE WHEN household_id = 3 THEN NULL ELSE household_id * 1.5 END", False),
        (f"CASE WHEN as_of = DATE '{WEEKS[2]}' THEN 9 ELSE household_id * 1.5 END", True),
        ("CASE WHEN household_id = 4 THEN 9 ELSE household_id * 1.5 END", True),
    ],
    ids=["one value", "a null", "an as_of not in the set", "an entity without a label"],
)
def test_the_digest_changes_with_a_value_of_the_set_only(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table], recency: str, same: bool
) -> None:
    write(con, tables)
    digest = build(con, tables).digest
    write(con, tables, recency=recency)
    assert (build(con, tables).digest == digest) is same


def test_as_ofs_without_labels_are_named(con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]) -> None:
    write(con, tables, weeks=[day for day in WEEKS if day not in (WEEKS[4], WEEKS[9])])
    built = build(con, tables)
    assert built.unlabelled == (WEEKS[4], WEEKS[9])
    assert WEEKS[4] in built.train


def test_the_first_cutoff_has_an_empty_set(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    built = build(con, tables, START)
    assert (built.rows.fetchall(), built.train, built.tune, built.unlabelled) == ([], (), (), ())
    assert built.rows.columns[-2:] == ["recency", "favourite"]


def test_sets_of_two_cutoffs_stand_side_by_side(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    one, other = build(con, tables, WEEKS[11]), build(con, tables, WEEKS[12])
    assert {row[0] for row in one.rows.fetchall()} == {WEEKS[11]}
    assert {row[0] for row in other.rows.fetchall()} == {WEEKS[12]}


def test_a_feature_the_snapshot_does_not_have(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    with pytest.raises(LakeError, match=r"Table group/snapshot has no column spend; .*Materialize it again"):
        build(con, tables, features=("recency", "spend"))


def test_rows_weigh_what_the_expression_says(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    halving = TRAIN.model_copy(update={"weight": "recency * pow(0.5, (cutoff - as_of) / 14)"})
    assert types_of(build(con, tables, train=halving).rows) == of_schema(halving)
    found = build(con, tables, train=halving)
    rows = found.rows.select("household_id, as_of, weight").fetchall()
    assert rows == [(who, day, who * 1.5 * 0.5 ** ((CUTOFF - day).days / 14)) for who, day, _ in rows]
    assert found.digest != build(con, tables).digest


def test_a_feature_may_have_a_name_that_sql_has_a_meaning_for(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    snapshot, labels = tables
    named = snapshot.read(con).select('household_id, as_of, recency AS "order", favourite AS "select"')
    snapshot.replace(
        con.from_arrow(named.to_arrow_table()), between=(WEEKS[0], WEEKS[-1]), provenance=Provenance()
    )
    rows = build(con, (snapshot, labels), features=("order", "select")).rows
    assert rows.columns[-2:] == ["order", "select"]
    assert rows.filter('"order" IS NOT NULL').fetchall()


def test_a_weight_that_slips_past_the_list_reads_no_file(
    con: duckdb.DuckDBPyConnection, tables: tuple[Table, Table]
) -> None:
    write(con, tables)
    stolen = TRAIN.model_copy(update={"weight": "(SELECT count(*) FROM read_text('/etc/passwd'))"})
    with pytest.raises(duckdb.PermissionException, match="passwd"):
        build(con, tables, train=stolen)
