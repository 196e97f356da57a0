"""Whether the version in use can be used: the registry has it, and its files are as they were when it was registered."""

from ml_assets.registry.mlflow_registry import Registry, RegistryError
from ml_assets.registry.promotion_log import PromotionLog


def trouble(registry: Registry, log: PromotionLog) -> str | None:
    """Why the champion can't be used, and the ways out; None if it can, or if there is none."""
    if log.champion is None:
        return None
    why = wrong_with(registry, log.model, log.champion)
    return (
        f"The champion of {log.model}, version {log.champion}, can't be used. {why} {ways_out(registry, log)}"
        if why
        else None
    )


def wrong_with(registry: Registry, model: str, number: int) -> str | None:
    """Why a version can't be used: the registry has lost it, or its files are not as they were; None if it can."""
    try:
        registry.artifact(registry.version(model, number))
    except RegistryError as error:
        return str(error)
    return None


def ways_out(registry: Registry, log: PromotionLog) -> str:
    """What to do about a champion that can't be used, with the newest champion before it that can."""
    model = log.model
    before = sorted(log.champions - log.withdrawn - {log.champion}, reverse=True)
    usable = next((number for number in before if wrong_with(registry, model, number) is None), None)
    back = (
        f"; or go back: ml-assets models rollback {model} --to {usable} --why TEXT"
        if usable is not None
        else ""
    )
    return (
        f"Restore MLflow's database and artifacts ({registry.tracking_uri}, {registry.artifact_root}) from a backup"
        f"{back}; or train again: materialize {model}/candidate of a cutoff, and put its version in use with "
        f"ml-assets models promote {model} VERSION --override --why TEXT."
    )
