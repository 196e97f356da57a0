"""What is on record about one version of a model: gathered from the registry and the lake, nothing made up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb

from ml_assets.lake import LakeError, Table
from ml_assets.registry.aliases import names_of
from ml_assets.registry.book import Book
from ml_assets.registry.declared import DeclaredInWords
from ml_assets.registry.mlflow_registry import Registry, Version
from ml_assets.registry.pins import pins_of
from ml_assets.registry.promotion_log import Move, PromotionLog

Row = Mapping[str, Any]
NOT_METRICS = ("cutoff", "role", "model_version", "seconds")


@dataclass(frozen=True)
class ModelFacts:
    """Everything known of a version. An empty text, mapping or sequence, or None, is not recorded."""

    declared: DeclaredInWords
    version: int
    cutoff: date | None = None
    created: datetime | None = None
    aliases: tuple[str, ...] = ()
    target: str = ""
    features: tuple[str, ...] = ()
    training: Mapping[str, str] = field(default_factory=dict)
    """Rows, as_ofs, seconds and the like, by what they are."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    """Table -> version."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """What was hashed -> its hash, and the commit; what is not recorded is left out."""
    definitions: Mapping[str, str] = field(default_factory=dict)
    """The hashes of the definitions it learnt from: of features by column, and of label, population and training."""
    machine: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Row, ...] = ()
    """A row per role: ``role``, ``model_version`` and the metrics."""
    gates: tuple[Row, ...] = ()
    """A row per gate: gate, status, observed, required, reason, champion_version, holdout, policy."""
    slices: tuple[Row, ...] = ()
    groups: tuple[Row, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    """Feature -> share, the largest first."""
    promotions: tuple[Move, ...] = ()
    """The moves to this version, and away from it."""

    @property
    def as_declared(self) -> bool:
        """Whether it was trained from the declaration as it is today."""
        return self.hashes.get("config") == self.declared.config

    @property
    def decision(self) -> str:
        """What the gates said in all: passed, refused, or not evaluated."""
        if not self.gates:
            return "not evaluated"
        return "passed" if all(row["status"] in ("PASS", "WARN") for row in self.gates) else "refused"

    @property
    def overrides(self) -> tuple[Move, ...]:
        """When it was made champion against its evidence."""
        return tuple(m for m in self.promotions if m.action == "override" and m.to_version == self.version)

    @property
    def rolled_back(self) -> Move | None:
        """The rollback that moved away from it, if nothing has brought it back since."""
        last = self.promotions[-1] if self.promotions else None
        return last if last and last.action == "rollback" and last.from_version == self.version else None

    @property
    def own_metrics(self) -> Row:
        """The metrics of this version itself, by name."""
        mine = [row for row in self.metrics if row["role"] == "candidate"]
        return {k: v for k, v in mine[0].items() if k not in NOT_METRICS} if mine else {}


HASHES = {
    "training_set": "training set",
    "config": "config",
    "git_commit": "commit",
    "git_dirty": "uncommitted changes",
    "lock_sha256": "lock file",
    "model_sha256": "model file",
}
"""Tag of a version -> what it is the hash of."""
TRAINING = {
    "rows": "rows",
    "best_iteration": "best iteration",
    "fit_seconds": "seconds to fit",
    "search_seconds": "seconds to search",
}
"""Column of the table ``candidate`` -> what it says; further numbers are shown by their own name."""


def facts_of(
    book: Book,
    declared: DeclaredInWords,
    version: Version,
    *,
    training_set: Table,
    slices: Sequence[Row] = (),
    groups: Sequence[Row] = (),
) -> ModelFacts:
    """Gather the facts of one version. ``slices`` and ``groups`` are rows of its evaluation, if the caller has them.

    A decision record or evaluation that was overwritten since is read at the table version that the promotion
    log names, if it names one.
    """
    tags, log = version.tags, book.log()
    run = _run(book.registry, version.run_id)
    candidate = _rows(book.con, book.tables.candidate, None, f"model_version = {version.number}")
    importance = run.importance
    return ModelFacts(
        declared=declared,
        version=version.number,
        cutoff=date.fromisoformat(tags["cutoff"]) if "cutoff" in tags else None,
        created=version.created,
        aliases=names_of(book, version.number),
        target=_as_text(tags.get("target")),
        features=tuple(importance),
        training=_training(book.con, candidate[0] if candidate else {}, tags, training_set),
        parameters=_parameters(tags, run.parameters),
        inputs={table: int(number) for table, number in _object(tags.get("inputs")).items()},
        hashes={name: tags[tag] for tag, name in HASHES.items() if tags.get(tag)},
        definitions=pins_of(version),
        machine={key: str(value) for key, value in _object(tags.get("machine")).items()},
        metrics=_metrics(book, log, version.number) or run.own_metrics(version.number),
        gates=_on_record(book, book.tables.decisions, "decisions", log, version.number),
        slices=tuple(slices),
        groups=tuple(groups),
        importance=dict(sorted(importance.items(), key=lambda item: (-item[1], item[0]))),
        promotions=tuple(m for m in log.moves if version.number in (m.to_version, m.from_version)),
    )


def _rows(con: duckdb.DuckDBPyConnection, table: Table, version: int | None, where: str) -> list[Row]:
    if not table.exists:
        return []
    return list(table.read(con, version=version).filter(where).to_arrow_table().to_pylist())


def _evidence(log: PromotionLog, version: int, table: str) -> int | None:
    """The version of a table that the newest move to a version leant on."""
    named = [m.evidence.get(table) for m in log.moves if m.to_version == version and m.evidence]
    return next((int(number) for number in reversed(named) if number is not None), None)


def _on_record(book: Book, table: Table, name: str, log: PromotionLog, version: int) -> tuple[Row, ...]:
    """The rows about a version: as they are now, or as they were when it was promoted."""
    where = f"model_version = {version}"
    found = _rows(book.con, table, None, where)
    then = _evidence(log, version, name)
    if not found and then is not None:
        found = _rows(book.con, table, then, where)
    return tuple(found)


def _metrics(book: Book, log: PromotionLog, version: int) -> tuple[Row, ...]:
    """The rows of all roles of the evaluation in which the version was the candidate."""
    table = book.tables.evaluation
    for at in (None, _evidence(log, version, "evaluation")):
        own = _rows(book.con, table, at, f"role = 'candidate' AND model_version = {version}")
        if own:
            return tuple(_rows(book.con, table, at, f"cutoff = DATE '{own[0]['cutoff']}'"))
    return ()


def _training(
    con: duckdb.DuckDBPyConnection, candidate: Row, tags: Mapping[str, str], training_set: Table
) -> dict[str, str]:
    known = {name: candidate[column] for column, name in TRAINING.items() if column in candidate}
    known |= {
        name.replace("_", " "): value
        for name, value in candidate.items()
        if name not in TRAINING and isinstance(value, float)
    }
    known |= {"seed": tags.get("seed"), "estimator": tags.get("estimator"), "search": tags.get("search")}
    known |= _as_ofs(con, tags, training_set)
    known |= {"Dagster run": tags.get("dagster_run")}
    return {name: _as_text(value) for name, value in known.items() if value is not None}


def _as_ofs(con: duckdb.DuckDBPyConnection, tags: Mapping[str, str], training_set: Table) -> dict[str, str]:
    """Rows and as_ofs of each split, from the version of the training set on record."""
    number = _object(tags.get("inputs")).get(training_set.name)
    if number is None or "cutoff" not in tags:
        return {}
    cutoff = date.fromisoformat(tags["cutoff"])
    try:
        found = training_set.read(con, between=(cutoff, cutoff), version=int(number))
        rows = found.aggregate("split, count(*), count(DISTINCT as_of), min(as_of), max(as_of)").order(
            "split"
        )
        return {
            f"{split} rows": f"{count:,} of {days} as_ofs, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
            for split, count, days, first, last in rows.fetchall()
        }
    except (LakeError, duckdb.Error) as error:
        return {"as_ofs": f"can't be read any more ({str(error).splitlines()[0]})"}


def _parameters(tags: Mapping[str, str], logged: Mapping[str, str]) -> dict[str, str]:
    return {key: _as_text(value) for key, value in (_object(tags.get("parameters")) or logged).items()}


def _object(text: str | None) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _as_text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


@dataclass(frozen=True)
class _Run:
    """What the MLflow run of a version holds."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)

    def own_metrics(self, version: int) -> tuple[Row, ...]:
        found = on_holdout(self.metrics)
        return ({"role": "candidate", "model_version": version, **found},) if found else ()


def on_holdout(metrics: Mapping[str, float]) -> dict[str, float]:
    """Of the metrics of a version's MLflow run, those on the holdout that judged it, by their plain names."""
    prefix = "holdout_"
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def _run(registry: Registry, run_id: str) -> _Run:
    """Parameters, metrics and importance; nothing where the run or the artifact is gone."""
    client = registry.client()
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        data = client.get_run(run_id).data
    except MlflowException:
        return _Run()
    try:
        importance = mlflow.artifacts.load_dict(f"runs:/{run_id}/importance.json")
    except (MlflowException, OSError):
        importance = {}
    return _Run(data.params, data.metrics, {k: float(v) for k, v in importance.items()})
