"""The table of a model that says who is champion."""

from ml_assets.lake.schema import DAY, MOMENT, Schema, StoredColumn

PROMOTIONS = Schema(
    "promotions",
    "The promotion log: every move of the champion. It is the truth, and MLflow's aliases follow it. Lines are only "
    "added; the newest names the champion.",
    asset="promotions",
    writer="the asset `champion`, and `ml-assets models approve`, `promote` and `rollback`",
    partition_by=("month",),
    columns=(
        StoredColumn("model", "VARCHAR", "Name of the model."),
        StoredColumn("at", "TIMESTAMPTZ", "When it was moved; later than in every line before.", MOMENT),
        StoredColumn(
            "action",
            "VARCHAR",
            "promote: by its evidence; approve: by that and a person; override: by a person against it; rollback.",
        ),
        StoredColumn("from_version", "BIGINT", "The champion before; empty if there was none."),
        StoredColumn("to_version", "BIGINT", "The champion from then on."),
        StoredColumn("cutoff", "DATE", "The cutoff of to_version.", DAY),
        StoredColumn("who", "VARCHAR", "Who did it: a user, a sensor, or dagster."),
        StoredColumn("reason", "VARCHAR", "Why, in words."),
        StoredColumn(
            "evidence",
            "VARCHAR",
            "The decision record it leans on, as JSON; of a rollback, what the version that it withdrew is.",
        ),
        StoredColumn("month", "DATE", "First day of the month in which it was moved.", DAY),
    ),
)
