"""A version that scores: only features that it was trained on, by the definitions that it was trained on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.lake import Between, Table, days
from ml_assets.lake.definition import Definitions, short
from ml_assets.pipeline.run import CannotRun
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.pins import declared_as, pins_of, unlike

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

    def definitions(self, snapshot: Table, between: Between, at: int | None = None) -> Definitions:
        """The definitions by which the features of the days ``between`` were made, in a version of the snapshot.

        Raises CannotRun where one is not that by which the version was trained. A version from before definitions were
        recorded scores whatever there is.
        """
        pins, marks = pins_of(self.version), snapshot.marks(at)
        pinned = {column: pins[column] for column in self.columns if column in pins}
        found: dict[str, str] = {}
        refused: dict[str, str] = {}
        for day in days(*between):
            made_by = (day in marks and marks[day].definitions) or {}
            found |= {column: made_by[column] for column in self.columns if column in made_by}
            for column in unlike(pinned, made_by):
                has = f"has it by {short(made_by[column])}" if column in made_by else "doesn't have it"
                refused[column] = (
                    f"{column} by definition {short(pinned[column])}, and {snapshot.name} of {day} {has}"
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
