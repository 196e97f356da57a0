"""Spellings of commands that are gone, and what answers to them."""

from typing import Any

from typer.core import TyperGroup

NOW = {
    "approve": "models approve",
    "backtest-policy": "monitor backtest",
    "drill": "monitor drill",
    "land": "data land",
    "promote": "models promote",
    "quarantine replay": "data replay",
    "quarantine show": "data quarantine",
    "quarantine": "data quarantine",
    "reproduce": "models reproduce",
    "rollback": "models rollback",
    "trace": "models trace",
    "training-set rebuild": "models rebuild",
    "training-set": "models rebuild",
    "waive": "data waive",
}
"""Old spelling -> new one; of two that begin alike the longer one comes first."""


class Root(TyperGroup):
    """The commands; one that is gone is answered with the new spelling, as wrong usage."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the words name."""
        said = " ".join(args)
        for old, new in NOW.items():
            if said == old or said.startswith(f"{old} "):
                ctx.fail(f"`ml-assets {old}` is now `ml-assets {new}`.")
        return super().resolve_command(ctx, args)
