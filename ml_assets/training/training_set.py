"""The training set of a cutoff: labels joined with the features of the same as_of, split by time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from ml_assets.features import Entity
from ml_assets.lake import Table, confined, content_hash, count, create_like, hand_over, seal
from ml_assets.lake.sql import quote
from ml_assets.training.labels import LABEL
from ml_assets.training.moments import MOMENT, Moments, row_key
from ml_assets.training.spec import Cutoffs, Label, Train, split_as_ofs


@dataclass(frozen=True)
class TrainingSet:
    """The rows of one cutoff's training set and what they are made of."""

    rows: duckdb.DuckDBPyRelation
    train: tuple[date, ...]
    tune: tuple[date, ...]
    unlabelled: tuple[date, ...]
    """Wanted as_ofs that have no labels in the lake."""
    digest: str

    def summary(self) -> dict[str, object]:
        """How many rows and as_ofs it has, what is missing, and its content hash, for a person."""
        return {
            "rows": count(self.rows),
            "train as_ofs": len(self.train),
            "tune as_ofs": len(self.tune),
            "without labels": ", ".join(map(str, self.unlabelled)) or "none",
            "content hash": self.digest[:16],
        }


def build_training_set(
    con: duckdb.DuckDBPyConnection,
    snapshot: Table,
    labels: Table,
    cutoff: date,
    *,
    entity: Entity,
    features: Sequence[str],
    label: Label,
    cutoffs: Cutoffs,
    train: Train,
    moments: Moments | None = None,
    versions: Mapping[str, int] | None = None,
) -> TrainingSet:
    """Join labels that have matured by ``cutoff`` with the snapshots of their as_of.

    With ``moments`` the train split has a row for each of them instead; tune stays at the as_ofs. ``versions`` says
    which version of a table to read, by its name (default: the newest). Rows: ``cutoff`` DATE, the entity, ``as_of``
    DATE, with ``moments`` also ``moment`` TIMESTAMPTZ, ``label``, ``split`` ('train' or 'tune'), ``weight`` DOUBLE
    if ``train`` asks for weights, then the feature columns. The digest is the content hash of the rows.
    """
    train_days, tune_days = split_as_ofs(cutoff, label, cutoffs, train)
    wanted = sorted([*train_days, *tune_days])
    name = f"training_set_{cutoff:%Y%m%d}"
    if not wanted:
        wanted, train_days, tune_days = [cutoff], [], []
    between, given_versions = (wanted[0], wanted[-1]), versions or {}
    split = f"CASE WHEN as_of IN ({_days(tune_days)}) THEN 'tune' ELSE 'train' END AS split"
    keys = row_key(entity, train)
    weight = [f"({train.weight})::DOUBLE AS weight"] if train.weight is not None else []
    listed = ", ".join(
        [*map(quote, keys), "as_of", f"{LABEL} AS label", split, *weight, *map(quote, features)]
    )
    given = "SELECT * FROM at_cutoffs"
    if moments:
        given = f"SELECT *, CAST(as_of AS TIMESTAMPTZ) AS {MOMENT} FROM at_cutoffs WHERE as_of IN ({_days(tune_days)})"
    with confined() as apart:
        snapshot.read(
            apart,
            columns=[*entity, "as_of", *features],
            between=between,
            version=given_versions.get(snapshot.name),
        ).create_view("ts_snapshot")
        labels.read(apart, between=between, version=given_versions.get(labels.name)).create_view("ts_labels")
        if moments and train_days:
            moments.read(apart, train_days, label=label, versions=given_versions)
        seal(apart)
        apart.execute(
            f"CREATE TEMP VIEW at_cutoffs AS SELECT ts_snapshot.*, ts_labels.label AS {LABEL} "
            f"FROM ts_labels JOIN ts_snapshot USING ({entity}, as_of) "
            f"WHERE as_of IN ({_days([*train_days, *tune_days])}) AND ts_labels.matures <= DATE '{cutoff}'"
        )
        if moments and train_days:
            moments.rows(
                apart,
                train_days,
                cutoff,
                entity=entity,
                features=features,
                label=label,
                versions=given_versions,
            ).create_view("at_moments")
            given += " UNION ALL BY NAME SELECT * FROM at_moments"
        query = apart.sql(f"SELECT DATE '{cutoff}' AS cutoff, {listed} FROM ({given}) ORDER BY as_of, {keys}")
        labelled = {day for (day,) in apart.sql("SELECT DISTINCT as_of FROM ts_labels").fetchall()}
        create_like(con, name, query)
        hand_over(query, con, name)
    rows = con.table(name)
    return TrainingSet(
        rows=rows,
        train=tuple(train_days),
        tune=tuple(tune_days),
        unlabelled=tuple(day for day in [*train_days, *tune_days] if day not in labelled),
        digest=content_hash(rows, ["as_of", *keys]),
    )


@dataclass(frozen=True)
class Rebuilt:
    """A training set built again from the versions of the tables it was made of."""

    versions: dict[str, int]
    stored_digest: str
    digest: str
    rows: int

    @property
    def is_same(self) -> bool:
        """Whether it has the rows that are stored."""
        return self.digest == self.stored_digest


def rebuild_training_set(
    con: duckdb.DuckDBPyConnection,
    snapshot: Table,
    labels: Table,
    stored: Table,
    cutoff: date,
    **made_by: Any,
) -> Rebuilt:
    """Build the training set of ``cutoff`` again from the table versions on record, and compare.

    ``made_by`` are the other arguments of ``build_training_set``. Raises LakeError where the cutoff has no
    training set, or a version is no longer kept.
    """
    versions = dict(stored.made(cutoff).inputs)
    built = build_training_set(con, snapshot, labels, cutoff, versions=versions, **made_by)
    held = stored.read(con, between=(cutoff, cutoff))
    digest = content_hash(held, ["as_of", *row_key(made_by["entity"], made_by["train"])])
    return Rebuilt(versions, digest, built.digest, count(built.rows))


def _days(as_ofs: Sequence[date]) -> str:
    return ", ".join(f"DATE '{day}'" for day in as_ofs) or "NULL"
