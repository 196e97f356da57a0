"""The keys of assets: the folder that declares something, and the asset."""

from typing import Protocol

import dagster as dg


class Named(Protocol):
    """A source, a feature group or a model."""

    @property
    def name(self) -> str:
        """The folder that declares it."""
        ...


def key_of(owner: Named, asset: str) -> dg.AssetKey:
    """The key of one of the assets of a source, group or model."""
    return dg.AssetKey([owner.name, asset])


def keys_of(owner: Named, *assets: str) -> list[dg.AssetKey]:
    """The keys of several of them."""
    return [key_of(owner, asset) for asset in assets]
