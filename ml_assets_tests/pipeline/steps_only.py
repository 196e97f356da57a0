"""A declared project of one source and one feature group, built by the steps of the assets, as ``due`` asks for them.

What a Dagster home adds is left out: no run, no process, no sensor. So what the proofs of order, kills, concurrency
and full disks drive is the code that the assets run.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

from ml_assets.lake import Between, Lake, as_ranges, connect
from ml_assets.landing import by_day
from ml_assets.pipeline.due.features import buildable_days, edges
from ml_assets.pipeline.due.landing import BRIDGED, due_days
from ml_assets.pipeline.run import Run
from ml_assets.pipeline.steps.features import build_snapshots, build_tiles
from ml_assets.pipeline.steps.source import build_events, copy_landing
from ml_assets.project.group import Group
from ml_assets.project.project import Project
from ml_assets.project.source import Source

FEATURES = """
type: ml_assets.components.FeatureGroup
attributes:
  source: taps
  entity: who
  features:
    - {name: taps, count: "*", windows: [2d, 4d]}
    - {name: spend, sum: amount, windows: [4d]}
"""


def declare(folder: Path, contract: str, landing: str, first: date, last: date) -> None:
    """Write a project with the source ``taps`` and the group ``by_who``; ``landing`` is YAML."""
    source = (
        "type: ml_assets.components.EventSource\n"
        f"attributes: {{contract: contract.yaml, landing: {landing}, start: {first}, end: {last}}}\n"
    )
    texts = {"taps/contract.yaml": contract, "taps/defs.yaml": source, "by_who/defs.yaml": FEATURES}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@dataclass(frozen=True)
class StepsOnly:
    """The project declared in ``defs``, with its lake."""

    defs: Path
    lake: Lake

    @cached_property
    def source(self) -> Source:
        return Project(self.defs).sources["taps"]

    @cached_property
    def group(self) -> Group:
        return Project(self.defs).groups["by_who"]

    def run_source(self, between: Between) -> None:
        """One run over ``raw``, ``events`` and ``quarantine`` of a range."""
        with connect() as con:
            copy_landing(con, Run("raw"), self.source, self.lake, between)
        self.run_events(between)

    def run_events(self, between: Between) -> None:
        """One run over ``events`` and ``quarantine`` of a range."""
        with connect() as con:
            build_events(con, Run("events"), self.source, self.lake, between)

    def run_tiles(self, between: Between) -> None:
        """One run over ``tiles`` of a range."""
        with connect() as con:
            build_tiles(con, Run("tiles"), self.group, self.lake, between)

    def run_snapshots(self, between: Between) -> None:
        """One run over ``snapshot`` of a range."""
        with connect() as con:
            build_snapshots(con, Run("snapshot"), self.group, self.lake, between)

    def run_days(self, between: Between) -> None:
        """Runs over a range of days from landing to snapshots, asked for by a person: whether they are stale or not."""
        self.run_source(between)
        self.run_tiles(between)
        self.run_snapshots((between[0] + timedelta(days=1), between[1] + timedelta(days=1)))

    def wanted(self) -> list[Between]:
        """The ranges of days of the source that are due."""
        with connect() as con:
            due = due_days(con, self.source, self.lake, by_day(self.source.landing.listed()))
        return as_ranges(set(due.days), BRIDGED)

    def work(self) -> int:
        """Everything that is due, once; returns the number of runs."""
        wanted = self.wanted()
        for between in wanted:
            self.run_source(between)
        return len(wanted) + self.run_features()

    def run_features(self) -> int:
        """Tiles, then snapshots, as far as they are due; returns the number of runs."""
        runs = 0
        for edge, run in zip(edges(self.group, self.lake), (self.run_tiles, self.run_snapshots), strict=True):
            with connect() as con:
                stale, _ = buildable_days(con, self.lake, self.group, edge)
            parts = as_ranges(stale)
            for between in parts:
                run(between)
            runs += len(parts)
        return runs
