"""Train a registered version again from what is on record, and compare."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Lake, content_hash
from ml_assets.lake.hashes import FILES, ROWS, digest_of
from ml_assets.project.model import DeclaredModel
from ml_assets.training.provenance import code_facts, machine_facts

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry, Version


@dataclass(frozen=True)
class Compared:
    """One thing as it is on record and as it came out again."""

    name: str
    recorded: str
    again: str

    @property
    def is_same(self) -> bool:
        """Whether nothing has changed."""
        return self.recorded == self.again


@dataclass(frozen=True)
class Reproduced:
    """What training a version again gave."""

    version: "Version"
    results: tuple[Compared, ...]
    """What must come out the same."""
    circumstances: tuple[Compared, ...]
    """What may explain a difference: the code and the machine."""

    @property
    def is_same(self) -> bool:
        """Whether all results are the same."""
        return all(result.is_same for result in self.results)


def reproduce(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, registry: "Registry", number: int
) -> Reproduced:
    """Rebuild the training set from the versions of tables on record, fit with the parameters on record, compare.

    Raises Refusal where the declaration is not the one the version was trained by, LakeError where a version of a
    table is no longer kept, or a hash on record is of a scheme this release doesn't make.
    """
    from ml_assets.training.fit import fit
    from ml_assets.training.frames import check_frame, usable_rows
    from ml_assets.training.predictor import files_hash
    from ml_assets.training.training_set import build_training_set

    version = registry.version(model.name, number)
    tags, tables, snapshot = version.tags, model.tables(lake), model.group.snapshot(lake)
    missing = [name for name in ("inputs", "training_set", "parameters", "model_sha256") if name not in tags]
    if missing:
        raise Refusal(f"version {number} of {model.name} has no {', '.join(missing)} on record")
    if tags["config"] != model.config:
        raise Refusal(
            f"version {number} of {model.name} was trained by another declaration (config {tags['config'][:12]}; it is "
            f"{model.config[:12]} now). Check out commit {tags.get('git_commit', 'unknown')} and run this again"
        )
    built = build_training_set(
        con,
        snapshot,
        tables.labels,
        version.cutoff,
        versions=json.loads(tags["inputs"]),
        **model.training_set_of(lake),
    )
    digest = content_hash(built.rows, ["as_of", *model.row_key])
    target = model.spec.label.target
    types, rows = model.group.feature_types, built.rows.order(f"as_of, {model.row_key}").df()
    usable, _ = usable_rows(rows, types, entity=model.row_key)
    frame = check_frame(usable, types, entity=model.row_key, target=target)
    parameters = json.loads(tags["parameters"])
    fitted = fit(frame, types, model.spec.train, target, parameters=parameters)
    with TemporaryDirectory() as folder:
        fitted.predictor.save(Path(folder))
        sha256 = files_hash(Path(folder))
    recorded = registry.metrics(version)
    return Reproduced(
        version,
        (
            Compared("training set", digest_of(tags["training_set"], ROWS), digest),
            Compared("train loss", repr(recorded.get("train_loss")), repr(fitted.train_loss)),
            Compared("tune loss", repr(recorded.get("tune_loss")), repr(fitted.tune_loss)),
            Compared("model file", digest_of(tags["model_sha256"], FILES), sha256),
        ),
        _circumstances(tags),
    )


def _circumstances(tags: Mapping[str, str]) -> tuple[Compared, ...]:
    """The code and the machine, then and now."""
    now = {name: str(value) for name, value in (code_facts() | machine_facts()).items()}
    then = {**json.loads(tags.get("machine", "{}")), **tags}
    return tuple(Compared(name, str(then.get(name, "not recorded")), value) for name, value in now.items())
