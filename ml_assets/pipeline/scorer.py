"""A version that scores: only features that it was trained on, by the definitions that it was trained on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from ml_assets.lake import Between, Lake, days
from ml_assets.lake.definition import Definitions, short
from ml_assets.pipeline.kept import AsTrained, as_trained, build_kept, kept_group
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.pins import declared_as, feature_pins, unlike

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry.mlflow_registry import Registry, Version
    from ml_assets.training.predictor import Predictor, Scores


@dataclass(frozen=True)
class Scorer:
    """A version of a model, with what it was trained on."""

    model: DeclaredModel
    version: "Version"
    predictor: "Predictor"

    @classmethod
    def of(cls, model: DeclaredModel, registry: "Registry", version: "Version") -> "Scorer":
        """The version, loaded from the registry."""
        return cls(model, version, registry.load(version))

    @property
    def columns(self) -> Sequence[str]:
        """The features it was trained on."""
        return list(self.predictor.task.columns)

    @property
    def pinned(self) -> Definitions:
        """The definitions of these; empty of a version from before they were recorded."""
        return feature_pins(self.version)

    def reads(self, con: duckdb.DuckDBPyConnection, run: Run, lake: Lake, between: Between) -> AsTrained:
        """The snapshots of the days ``between`` as the version reads them.

        What it was trained on and is declared otherwise now is computed first, where that can be done.
        """
        kept = kept_group(self.model.group, self.version, self.pinned)
        if kept is not None:
            otherwise = ", ".join(unlike(self.pinned, self.model.group.definitions))
            run.log.info(
                f"version {self.version.number} of {self.model.name} learnt {otherwise} as declared before: read from "
                f"{kept.name}/snapshot"
            )
            for day, why in build_kept(con, run, kept, lake, between).items():
                run.log.error(f"{kept.name}/snapshot of {day}: {why}")
        return as_trained(self.model.group, lake, self.pinned)

    def definitions(self, snapshot: AsTrained, between: Between) -> Definitions:
        """The definitions by which the features of the days ``between`` were made.

        Raises CannotRun where one is not that by which the version was trained. A version from before definitions were
        recorded scores whatever there is.
        """
        found: dict[str, str] = {}
        refused: dict[str, str] = {}
        for day in days(*between):
            made_by = snapshot.definitions(day)
            found |= {column: made_by[column] for column in self.columns if column in made_by}
            for column in unlike(self.pinned, made_by):
                has = f"has it by {short(made_by[column])}" if column in made_by else "doesn't have it"
                refused[column] = (
                    f"{column} by definition {short(self.pinned[column])}, and {snapshot.snapshot.name} of {day} {has}"
                )
        if refused:
            raise CannotRun(self._refused("; ".join(refused.values()), refused))
        return found

    def checked(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """A frame of entity, as_of and features as the version reads it. Raises CannotRun, or FrameError for its values."""
        from ml_assets.training.frames import check_frame

        self._check_columns(frame)
        schema = self.predictor.task.columns
        return check_frame(frame, schema, entity=self.model.entity, target=None)

    def score(self, frame: "pd.DataFrame") -> "Scores":
        """Scores of the rows of a checked frame. Raises CannotRun where it lacks what the version was trained on."""
        self._check_columns(frame)
        return self.predictor.score(frame)

    def _check_columns(self, frame: "pd.DataFrame") -> None:
        missing = [column for column in self.columns if column not in frame]
        if missing:
            group = self.model.group.name
            raise CannotRun(
                self._refused(f"{', '.join(missing)}, which {group} doesn't have any more", missing)
            )

    def _refused(self, why: str, columns: Iterable[str]) -> str:
        name, group, cutoff = self.model.name, self.model.group.name, self.version.cutoff
        then = dict.fromkeys(said for column in columns if (said := declared_as(self.version, column)))
        declared = f" ({', '.join(then)}, and what that reads in the contract)" if then else ""
        return (
            f"Version {self.version.number} of {name} can't score this: it was trained on {why}. Either restore the "
            f"declaration in {group}/defs.yaml{declared} and materialize {group}/snapshot again, or train anew: "
            f"materialize {name}/training_set, {name}/candidate and {name}/evaluation of a cutoff after {cutoff}, then "
            f"{name}/champion."
        )
