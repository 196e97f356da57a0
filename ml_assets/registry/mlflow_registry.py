"""Model versions in MLflow: log a candidate, read a version, set an alias.

MLflow takes seconds to import, so every function imports it when called.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ml_assets.instance import progress
from ml_assets.instance.databases import alone, holds, is_marked, mark, put, scratch
from ml_assets.lake.errors import LakeError
from ml_assets.lake.hashes import FILES, digest_of, on_record
from ml_assets.registry.moved import come_home
from ml_assets.registry.trial import DATA, TrialProcess

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from ml_assets.training.predictor import Predictor

ARTIFACT = "model"


class RegistryError(Exception):
    """The registry can't do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class Version:
    """One registered version of a model, with what is needed to judge and use it."""

    model: str
    number: int
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = field(default=None, compare=False)

    @property
    def cutoff(self) -> date:
        """The as_of up to which this version knows anything."""
        return date.fromisoformat(self.tags["cutoff"])


@dataclass(frozen=True)
class Registry:
    """MLflow at a tracking URI, with artifacts below a folder or URL."""

    tracking_uri: str
    artifact_root: str

    @classmethod
    def below(cls, data: Path) -> "Registry":
        """The registry in a project's data folder: SQLite, and artifacts beside it."""
        folder = data / "mlflow"
        return cls(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))

    def prepare(self) -> None:
        """Make the database before processes use it side by side; one that was left half made is made anew."""
        if self._file is None:
            self.client().search_experiments(max_results=1)
        elif not is_marked(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with alone(self._file.with_suffix(".lock")):
                if not is_marked(self._file):
                    self._make(self._file)

    def _make(self, database: Path) -> None:
        """Make the database whole: where it is if it holds anything, or else in a scratch file."""
        if database.exists() and holds(database, ("runs", "registered_models", "model_versions")):
            self.client().search_experiments(max_results=1)
            mark(database)
            return
        with scratch(database.parent) as folder:
            made, whole = folder / "made.db", folder / "whole.db"
            replace(self, tracking_uri=f"sqlite:///{made}").client().search_experiments(max_results=1)
            mark(made)
            # A copy, because MLflow keeps the one it has made open.
            with closing(sqlite3.connect(made)) as opened:
                opened.execute("VACUUM INTO ?", (str(whole),))
            put(whole, database)

    def client(self) -> "MlflowClient":
        """A client of this registry, once what it says of files is about its own; see ``come_home``."""
        for said in self.come_home():
            progress.say(f"note: {said}")
        _quiet()
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        return mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)

    def come_home(self) -> list[str]:
        """Let a database that was copied or moved name the artifacts beside it; returns what changed, in words.

        Raises Refusal where files that it names are left behind, RegistryError where it can't be read. Takes a
        millisecond, without MLflow.
        """
        if self._file is None:
            return []
        with _readable(self._file):
            return come_home(self._file, Path(self.artifact_root))

    def experiment(self, model: str) -> str:
        """The id of the model's experiment, made on first use."""
        from mlflow.exceptions import MlflowException

        client = self.client()
        found = client.get_experiment_by_name(model)
        if found is None:
            try:
                return client.create_experiment(model, artifact_location=f"{self.artifact_root}/{model}")
            except MlflowException:
                found = client.get_experiment_by_name(model)
        if found is None:
            raise RegistryError(
                f"MLflow at {self.tracking_uri} neither finds nor creates the experiment {model}."
            )
        return found.experiment_id

    @contextmanager
    def parent_run(self, model: str, dagster_run: str, job: str) -> Iterator[str]:
        """The active MLflow run of a Dagster run, found again when that goes on. Gives its id.

        It ends FINISHED, or FAILED if the body raises. Tagged as dagster-mlflow tags them.
        """
        import mlflow

        experiment = self.experiment(model)
        found = self.client().search_runs(
            [experiment], f"tags.dagster_run_id = '{dagster_run}'", max_results=1
        )
        with mlflow.start_run(
            run_id=found[0].info.run_id if found else None,
            experiment_id=experiment,
            run_name=job,
            tags={"dagster_run_id": dagster_run, "dagster/job": job},
        ) as active:
            yield active.info.run_id

    @contextmanager
    def run(self, model: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> Iterator[str]:
        """An active MLflow run that ends FINISHED, or FAILED if the body raises. Gives its id."""
        import mlflow

        experiment = self.experiment(model)
        mlflow.set_system_metrics_sampling_interval(1)
        with mlflow.start_run(
            experiment_id=experiment,
            run_name=name,
            tags=dict(tags),
            nested=True,
            parent_run_id=parent,
            log_system_metrics=True,
        ) as active:
            yield active.info.run_id

    def log_model(
        self,
        model: str,
        predictor: "Predictor",
        example: "pd.DataFrame",
        tags: Mapping[str, str],
        trials: TrialProcess,
        *,
        after: int = 0,
    ) -> Version:
        """Log a predictor to the active run and register it as a new version, with ``model_sha256`` among its tags.

        Its number comes ``after`` those on record: a registry that was lost and begins anew gives none out again.

        ``example`` has rows of the feature columns. What the process ``trials`` imports to score them is pinned, so
        it has to find the modules that the predictor was made with. ``mlflow.pyfunc.load_model`` reads the version too.
        """
        import mlflow
        import mlflow.pyfunc

        from ml_assets.training.predictor import files_hash

        with TemporaryDirectory() as folder:
            files = Path(folder) / DATA
            predictor.save(files)
            tags = {**tags, "model_sha256": on_record(files_hash(files), FILES)}
            info = mlflow.pyfunc.log_model(
                name=ARTIFACT,
                loader_module="ml_assets.registry.pyfunc",
                data_path=str(files),
                signature=_signature(predictor),
                input_example=example,
                pip_requirements=list(trials.imports(Path(folder), example)),
                metadata=dict(tags),
            )
        client = self.client()
        client.set_tag(info.run_id, "model_sha256", tags["model_sha256"])
        self._ensure_model(client, model)
        while True:
            created = client.create_model_version(
                model, info.model_uri, run_id=info.run_id, tags=tags, model_id=info.model_id
            )
            if int(created.version) > after:
                break
            client.delete_model_version(model, created.version)
        return Version(model, int(created.version), str(info.run_id), tags)

    def _ensure_model(self, client: "MlflowClient", model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def version(self, model: str, number: int) -> Version:
        """A version by number. Raises RegistryError if there is none."""
        missing = f"Model {model} has no version {number} in {self.tracking_uri}."
        if not self.is_made:
            raise RegistryError(missing)
        from mlflow.exceptions import MlflowException

        try:
            found = self.client().get_model_version(model, str(number))
        except MlflowException as error:
            raise RegistryError(missing) from error
        return _version(found)

    def versions(self, model: str | None = None) -> list[Version]:
        """Every version of a model, or of all registered models."""
        if not self.is_made:
            return []
        client, found, token = self.client(), [], None
        only = None if model is None else f"name = '{model}'"
        while True:
            page = client.search_model_versions(only, max_results=1000, page_token=token)
            found += [_version(version) for version in page]
            token = page.token
            if not token:
                return found

    def aliases_by_model(self) -> dict[str, dict[str, int]]:
        """Registered model -> alias -> version. Of a registry in SQLite it is read in no time, without MLflow."""
        if self._file is None:
            return {name: self.aliases(name) for name in self._registered()}
        found: dict[str, dict[str, int]] = {}
        for model, alias, version in _aliases_in(self._file):
            pointing = found.setdefault(model, {})
            if alias is not None and version is not None:
                pointing[alias] = version
        return found

    def _registered(self) -> list[str]:
        client, found, token = self.client(), [], None
        while True:
            page = client.search_registered_models(max_results=1000, page_token=token)
            found += [str(model.name) for model in page]
            token = page.token
            if not token:
                return found

    @property
    def is_made(self) -> bool:
        """Whether there is a database, as far as can be seen from here: to read a lost one doesn't make it anew."""
        return self._file is None or (self._file.exists() and self._file.stat().st_size > 0)

    @property
    def _file(self) -> Path | None:
        """The database, if it is a SQLite file."""
        scheme, _, path = self.tracking_uri.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    def aliases(self, model: str) -> dict[str, int]:
        """Alias -> number of the version it points to; empty for a model without versions."""
        if not self.is_made:
            return {}
        from mlflow.exceptions import MlflowException

        try:
            found = self.client().get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {name: int(number) for name, number in found.items()}

    def set_alias(self, version: Version, name: str) -> None:
        """Point an alias to a version."""
        self.client().set_registered_model_alias(version.model, name, str(version.number))

    def delete_alias(self, model: str, name: str) -> None:
        """Take an alias away; nothing happens if there is none."""
        self.client().delete_registered_model_alias(model, name)

    def metrics(self, version: Version) -> dict[str, float]:
        """The newest value of every metric of the version's run; empty if the run is gone."""
        from mlflow.exceptions import MlflowException

        try:
            return dict(self.client().get_run(version.run_id).data.metrics)
        except MlflowException:
            return {}

    def artifact(self, version: Version) -> Path:
        """The folder of a version's artifact, on this machine.

        Raises RegistryError where it can't be read, or the files of the model are not those that were registered.
        """
        self.client()
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            folder = Path(download_artifacts(f"models:/{version.model}/{version.number}"))
        except (MlflowException, OSError) as error:
            why = str(error).partition("\n")[0].rstrip(".")
            raise RegistryError(
                f"The files of version {version.number} of {version.model} can't be read: {why}."
            ) from error
        check_files(
            folder / DATA, version.tags.get("model_sha256"), f"version {version.number} of {version.model}"
        )
        return folder

    def load(self, version: Version) -> "Predictor":
        """The predictor of a version, read from the registry's artifact. Raises RegistryError as ``artifact``."""
        from ml_assets.training.predictor import load_predictor

        return load_predictor(self.artifact(version) / DATA)

    def log_result(
        self, run_id: str, metrics: Mapping[str, float], artifacts: Mapping[str, str | bytes]
    ) -> None:
        """Add metrics and files (name below the run's artifacts -> content) to a run that has ended."""
        client = self.client()
        for name, value in metrics.items():
            if value == value:
                client.log_metric(run_id, name, value)
        self.log_files(run_id, artifacts)

    def log_files(self, run_id: str, artifacts: Mapping[str, str | bytes]) -> None:
        """Add files (name below the run's artifacts -> content) to a run."""
        client = self.client()
        for name, content in artifacts.items():
            with TemporaryDirectory() as folder:
                path = Path(folder) / Path(name).name
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
                parent = str(Path(name).parent)
                client.log_artifact(run_id, str(path), None if parent == "." else parent)

    def log_dataset(
        self, run_id: str, columns: Mapping[str, str], *, rows: int, name: str, digest: str, source: str
    ) -> None:
        """Tie a run to rows it has seen, as a dataset input of MLflow: feature columns with their types, and a label.

        What is known is written down: MLflow would look at every value of a frame to find it out.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.types import ColSpec, Schema

        columns_of = [ColSpec(_kind(kind), column, required=False) for column, kind in columns.items()]
        schema = {"mlflow_colspec": Schema([*columns_of, ColSpec("double", "label")]).to_dict()}
        profile = {"num_rows": rows, "num_elements": rows * (len(columns) + 1)}
        dataset = Dataset(
            name, digest, "local", json.dumps({"uri": source}), json.dumps(schema), json.dumps(profile)
        )
        self.client().log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", name)])])


def check_files(folder: Path, registered: str | None, whose: str) -> None:
    """Raise RegistryError unless the files of a model have the hash they were registered with, if that is on record."""
    from ml_assets.training.predictor import files_hash

    if registered is None:
        return
    try:
        wanted = digest_of(registered, FILES)
    except LakeError as error:
        raise RegistryError(f"The files of {whose} can't be verified: {error}.") from error
    found = files_hash(folder)
    if found != wanted:
        raise RegistryError(
            f"The files of {whose} in {folder} are not those that were registered: their SHA-256 is {found[:12]}, and "
            f"{wanted[:12]} is on record."
        )


def _aliases_in(database: Path) -> list[tuple[str, str | None, int | None]]:
    """Every registered model with its aliases, or with None; nothing where MLflow hasn't made its tables yet.

    Opened to write, though nothing is written: whoever reads first after a kill has to roll back what was half written.
    """
    if not database.exists():
        return []
    with (
        _readable(database),
        closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as opened,
    ):
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"registered_models", "registered_model_aliases"} <= tables:
            return []
        return opened.execute(
            "SELECT m.name, a.alias, a.version FROM registered_models m "
            "LEFT JOIN registered_model_aliases a ON a.name = m.name"
        ).fetchall()


@contextmanager
def _readable(database: Path) -> Iterator[None]:
    """Let the body read a database; RegistryError where it can't be read."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise RegistryError(
            f"MLflow's database {database} can't be read: {error}. Restore it from a backup, or let go what holds it."
        ) from error


def _kind(sql_type: str) -> str:
    """A DuckDB type as MLflow's type of what the estimator is given."""
    return "string" if sql_type in ("VARCHAR", "BOOLEAN") else "double"


def _signature(predictor: "Predictor") -> "ModelSignature":
    """Feature columns in, score out; of several classes also the probability of each."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    task = predictor.task
    names = ["score", *(task.target.classes if task.target.kind == "multiclass" else ())]
    inputs = Schema([ColSpec(_kind(kind), name, required=False) for name, kind in task.columns.items()])
    return ModelSignature(inputs, Schema([ColSpec("double", name) for name in names]))


def _version(found: "ModelVersion") -> Version:
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC)
    return Version(found.name, int(found.version), str(found.run_id), dict(found.tags), created)


def _quiet() -> None:
    """No telemetry, and no notices about it."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
