"""Events to a model that stays right. Nothing is imported here but the standard library."""

import warnings

REVIEWED_WARNINGS = {
    "Class `(LocalFileCodeReference|CodeReferencesMetadataValue)` is currently in beta": (
        "Dagster's own components attach to every asset where its defs.yaml is; nothing here calls them."
    ),
    "Parameter `backfill_policy` of .* is currently in (beta|preview)": (
        "A range of partitions is one run, which this project is built on; tests of ranges would tell of a change."
    ),
    "Parameter `allow_nonexistent_upstream_partitions` of .* is currently in beta": (
        "A window of days may begin before the source does; the test of partition mappings would tell of a change."
    ),
    "Parameter `owners` of initializer `SensorDefinition.__init__` is currently in beta": (
        "Dagster passes it itself for every sensor of failed runs; nothing here does."
    ),
    "Parameter `execution_type` of function `AssetsDefinition.__init__` is currently in beta": (
        "Dagster passes it itself when it makes a job of checks alone; nothing here does."
    ),
}
"""Warnings that are never printed, each the beginning of its message as a regular expression, with the reason.

They are about parts of Dagster that may change, used knowingly; the version is pinned, so that a change is read before
it is taken. A new warning is printed until it has been looked at and stands here.
"""

for _message in REVIEWED_WARNINGS:
    warnings.filterwarnings("ignore", message=_message)
