"""A model: what its YAML declares, with the features it reads and the tables it has."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Literal

import duckdb
from pydantic import Field

from ml_assets.evaluation.gates.policy import GatePolicy
from ml_assets.evaluation.spec import Costs
from ml_assets.features import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.spec import unknown
from ml_assets.features.sql import columns_of
from ml_assets.lake import Lake
from ml_assets.monitoring.measure.counting import NUMERIC_TYPES
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.project.calendar import WEEK, Calendar
from ml_assets.project.declared import Declared
from ml_assets.project.group import Group
from ml_assets.project.source import Source
from ml_assets.project.tables import ModelTables, Schemas, model_schemas
from ml_assets.serving.tables import predictions_schema
from ml_assets.training import Cutoffs, Label, Train
from ml_assets.training.definitions import (
    label_definition,
    population_definition,
    training_definition,
)
from ml_assets.training.moments import Moments, row_key
from ml_assets.training.tables import label_column, labels_schema, training_set_schema

BESIDE_FEATURES = ("weight", "rows", "score", "probabilities", "features_hash")
"""What stands beside features in frames: the weight of a row, how many there are, what was predicted of what."""
SCORES = re.compile(r"score_(candidate|champion|baseline)(_[0-9]+)?")
"""The scores of a holdout, beside its features."""
DAYS = (
    "; `time_since_last: day` gives the days before as_of, of the events of a `where`, and "
    "date_diff('day', DATE '2000-01-01', column) makes a number of a date"
)
"""What to do with a feature that is a day or a moment."""


class ModelSpec(Declared):
    """A model over a feature group: who is scored, what is predicted, how it is fitted, judged and promoted."""

    description: str = Field(description="What it predicts, in one sentence.")
    features: str = Field(description="The folder of the FeatureGroup.")
    population: str = Field(description="SQL condition over the features: who is scored.")
    label: Label
    cutoffs: Cutoffs
    train: Train = Train()
    baseline: str = Field(description="The numeric feature the trivial baseline looks up.")
    slices: list[str] = Field([], description="Features by which the evaluation is split; numbers into bins.")
    groups: list[str] = Field([], description="Features whose values must be treated alike.")
    costs: Costs | None = None
    gates: GatePolicy = GatePolicy()
    approval: Literal["automatic", "manual"] = Field(
        "automatic",
        description="Whether what passed every gate is promoted, or waits for `ml-assets models approve`.",
    )
    monitoring: MonitoringPolicy = MonitoringPolicy()
    owners: list[str] = Field(["team:ml"], description="Who answers for the model.")

    def bind(self, name: str, group: Group) -> "DeclaredModel":
        """The model with its features. Raises FeatureError where a name in it is unknown."""
        known = group.feature_types
        named = {
            "population": columns_of(self.population, f"model {name}, population"),
            "slices": self.slices,
            "groups": self.groups,
            "baseline": [self.baseline],
            "train.monotone": list(self.train.monotone),
            "train.weight": [
                column
                for column in (
                    columns_of(self.train.weight, f"model {name}, train.weight") if self.train.weight else ()
                )
                if column not in ("as_of", "cutoff")
            ],
        }
        for where, columns in named.items():
            for column in columns:
                if column not in known:
                    raise FeatureError(f"model {name}, {where}: {unknown(column, known)}", column)
        bound = DeclaredModel(name, group, self)
        bound.check_features()
        if self.label.source is not None and self.label.source not in group.sources:
            raise FeatureError(
                f"model {name}, label: {unknown(self.label.source, list(group.sources), 'source')}",
                self.label.source,
            )
        texts = [("label", text) for text in self.label.expressions]
        if self.train.after_each is not None:
            texts.append(("train.after_each", self.train.after_each))
        for where, text in texts:
            for column in columns_of(text, f"model {name}, {where}"):
                if column not in bound.source.columns:
                    raise FeatureError(
                        f"model {name}, {where}: {unknown(column, bound.source.columns)}", column
                    )
        for where, columns in (("baseline", [self.baseline]), ("train.monotone", list(self.train.monotone))):
            for column in columns:
                if known[column] in ("VARCHAR", "BOOLEAN"):
                    raise FeatureError(
                        f"model {name}, {where}: {column} is a {known[column]}; a number is needed", column
                    )
        try:
            self.gates.metric_of(self.label.target)
        except ValueError as error:
            raise FeatureError(f"model {name}: {error}", str(self.gates.metric)) from error
        try:
            self.train.check_serves(self.label.target, known)
        except ValueError as error:
            raise FeatureError(f"model {name}: {error}", self.train.estimator) from error
        return bound


@dataclass(frozen=True)
class DeclaredModel:
    """A model with everything it refers to."""

    name: str
    group: Group
    spec: ModelSpec

    @property
    def cutoffs(self) -> Calendar:
        """The cutoffs: a week apart."""
        return Calendar(self.spec.cutoffs.start, self.spec.cutoffs.end, WEEK)

    @property
    def entity(self) -> Entity:
        """What a prediction is about."""
        return self.group.features.entity

    @property
    def source(self) -> Source:
        """The source whose events make the labels: the one the label names, or the group's first."""
        return self.group.sources[self.spec.label.source or next(iter(self.group.sources))]

    @property
    def horizon_weeks(self) -> int:
        """The label horizon in whole weeks, rounded up."""
        return -(-self.spec.label.days // 7)

    @cached_property
    def schemas(self) -> Schemas:
        """The tables of the model, with their columns."""
        spec = self.spec
        return model_schemas(self.group.features, self.group.entity_columns, spec.label, spec.train)

    def check_features(self) -> None:
        """Refuse what the model's tables can't hold beside their own columns, and what no estimator learns from.

        Raises FeatureError, which stands where the model names its group.
        """
        spec, target, group = self.spec, self.spec.label.target, self.group
        label = label_column(spec.label, "the label")
        learnt = training_set_schema((), label, spec.train, ()).types
        keyed = {**labels_schema((), label).types, **predictions_schema((), target).types}
        for what, names, taken in (
            ("feature", group.features.columns, {*learnt, *BESIDE_FEATURES}),
            ("entity", self.entity, {*learnt, *keyed, *BESIDE_FEATURES}),
        ):
            for column in names:
                if column.lower() in taken or SCORES.fullmatch(column.lower()):
                    raise FeatureError(
                        f"model {self.name}: the {what} {column} of {group.name} has the name of a column that stands "
                        "beside it in the model's tables; rename it",
                        group.name,
                    )
        for column, kind in group.feature_types.items():
            if kind.endswith("]") or not kind.startswith(("VARCHAR", "BOOLEAN", *NUMERIC_TYPES)):
                raise FeatureError(
                    f"model {self.name}: the feature {column} of {group.name} is a {kind}; a model learns from numbers, "
                    f"texts and booleans{DAYS if kind.startswith(('DATE', 'TIME')) else ''}",
                    group.name,
                )

    def tables(self, lake: Lake) -> ModelTables:
        """The model's tables."""
        return ModelTables.of(lake, self.name)

    def moments(self, lake: Lake) -> Moments | None:
        """Where training rows at other moments than the cutoffs come from, if the model asks for such."""
        from ml_assets.features.queries.at import features_at

        if self.spec.train.after_each is None:
            return None
        group = self.group

        def at(
            con: duckdb.DuckDBPyConnection, spine: duckdb.DuckDBPyRelation, versions: Mapping[str, int]
        ) -> duckdb.DuckDBPyRelation:
            return features_at(
                con,
                group.features,
                spine,
                events=group.events(lake),
                tiles=group.tiles(lake),
                reach=group.late_by,
                versions=versions,
            )

        return Moments(self.source.tables(lake).events, self.spec.train.after_each, self.spec.population, at)

    @property
    def row_key(self) -> Entity:
        """The columns that, with as_of, name a row of a training set."""
        return row_key(self.entity, self.spec.train)

    def training_set_of(self, lake: Lake) -> dict[str, Any]:
        """What a training set is made by, beside the tables and the cutoff: arguments of ``build_training_set``."""
        return {
            "moments": self.moments(lake),
            "entity": self.entity,
            "features": list(self.group.feature_types),
            "label": self.spec.label,
            "cutoffs": self.spec.cutoffs,
            "train": self.spec.train,
        }

    @cached_property
    def label_definition(self) -> str:
        """The hash of what is predicted, and of the columns of events that it names."""
        source = self.source
        return label_definition(self.spec.label, self.entity, source.name, source.contract.readings)

    @cached_property
    def population_definition(self) -> str:
        """The hash of who is scored, and of the features that it names."""
        return population_definition(self.spec.population, self.group.definitions)

    @cached_property
    def training_definition(self) -> str:
        """The hash of all that a training set is made by: label, population, features, ``train`` and cutoffs."""
        return training_definition(
            self.spec.train,
            self.spec.cutoffs,
            label=self.label_definition,
            population=self.population_definition,
            features=self.group.definitions,
        )

    @cached_property
    def policy(self) -> str:
        """SHA-256 of everything in YAML that decides whether a candidate passes.

        A limit that a later release added is left out at its default, so that what was judged before it still holds.
        """
        spec = self.spec
        gates = spec.gates.model_dump()
        if gates["too_good"] == type(spec.gates).model_fields["too_good"].default:
            del gates["too_good"]
        facts = [gates, spec.costs and spec.costs.model_dump(), spec.slices, spec.groups]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def config(self) -> str:
        """SHA-256 of everything in YAML that decides a model: its own spec and its features."""
        spec = self.spec
        facts: Sequence[Any] = [
            spec.population,
            spec.label.model_dump(),
            spec.cutoffs.model_dump(mode="json"),
            spec.train.model_dump(),
            spec.baseline,
            [
                feature.model_dump(exclude={"means", "owner", "expect", "example"}, exclude_none=True)
                for feature in self.group.features.features
            ],
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def newest_mature(self, landed_through: date) -> date | None:
        """The newest cutoff whose own labels, the holdout, have matured."""
        mature = self.cutoffs.before(landed_through + timedelta(days=1) - self.spec.label.horizon, 1)
        return mature[0] if mature else None
