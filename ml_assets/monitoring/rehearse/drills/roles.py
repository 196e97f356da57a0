"""Which columns of a source an incident works on: the block ``drills:`` of a source's YAML."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from ml_assets.contracts import Contract


class RolesError(ValueError):
    """A column that an incident needs and that isn't named, or can't be changed; the message says what to write."""


class Roles(BaseModel):
    """What columns of the contract stand for, for drills. An incident needs only those it changes.

    The entity is that of the model's features, and needs no line here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    amount: str | None = Field(None, description="The money of an event.")
    store: str | None = Field(None, description="Where it happened.")
    category: str | None = Field(None, description="What kind of thing it was about.")
    visit: str | None = Field(
        None,
        description="What tells one visit from another; by default the first column of the primary key.",
    )


def landing_columns(
    contract: Contract, roles: Roles, entity: str, needs: Sequence[str], *, incident: str
) -> dict[str, str]:
    """Role -> column of the landing files, for each role an incident ``needs``; ``entity`` is one too.

    Raises RolesError where a role isn't declared, or its column isn't read from one landing column as it is.
    """
    declared = roles.model_dump() | {"entity": entity}
    declared["visit"] = roles.visit or next(iter(contract.primary_key), None)
    return {role: _landing_column(contract, role, declared[role], incident) for role in needs}


def _landing_column(contract: Contract, role: str, name: str | None, incident: str) -> str:
    source, known = contract.path.parent.name, [column.name for column in contract.columns]
    write = f"write `drills: {{{role}: COLUMN}}` below `attributes:` in its defs.yaml"
    if name is None:
        raise RolesError(
            f"{incident} changes the {role}, and {source} doesn't say which column that is; {write}, with one "
            f"of {', '.join(known)}"
        )
    if name not in known:
        raise RolesError(
            f"{source} has no column {name}, which is its {role} for drills; {write}, with one of "
            f"{', '.join(known)}"
        )
    sources = contract.column(name).sources
    if len(sources) != 1:
        raise RolesError(
            f"{incident} changes the {role}, and {name} is made of {', '.join(sources)}; {write}, with a column that "
            "is read from one landing column"
        )
    return sources[0]
