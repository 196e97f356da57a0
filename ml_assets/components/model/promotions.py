"""The promotion log as an asset: written by the champion and by commands, shown wherever it was written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, markdown_table, stored
from ml_assets.lake import Lake
from ml_assets.project.model import DeclaredModel

if TYPE_CHECKING:
    from ml_assets.registry.promotion_log import Move

SHOWN = 50
"""How many moves the UI shows, the newest first."""


def spec(model: DeclaredModel) -> dg.AssetSpec:
    """What Dagster knows of the log: nothing materializes it by itself."""
    return dg.AssetSpec(
        key_of(model, "promotions"),
        deps=[key_of(model, "champion")],
        description=(
            "Every move of the champion: from which version to which, who did it, when, why, and by what evidence. "
            "Lines are only added: by the champion when it promotes, and by `ml-assets models approve`, `promote` and "
            "`rollback`."
        ),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake"},
        metadata=declared(model.schemas["promotions"]),
    )


def materialization(model: DeclaredModel, lake: Lake, moves: Sequence["Move"]) -> dg.AssetMaterialization:
    """The event that shows the log as it is."""
    table = model.tables(lake).promotions
    overridden = [move for move in moves if move.action == "override"]
    return dg.AssetMaterialization(
        key_of(model, "promotions"),
        metadata=stored(table, model.schemas["promotions"])
        | {
            "dagster/row_count": len(moves),
            "newest": moves[-1].in_words() if moves else "none",
            "overrides": "; ".join(move.in_words() for move in overridden) or "none",
            "log": markdown_table([_line(move) for move in reversed(moves[-SHOWN:])]),
        },
    )


def _line(move: "Move") -> dict[str, Any]:
    return {
        "at": f"{move.at:%Y-%m-%d %H:%M}",
        "action": move.action,
        "from": move.from_version,
        "to": move.to_version,
        "cutoff": move.cutoff,
        "who": move.who,
        "reason": move.reason,
    }
