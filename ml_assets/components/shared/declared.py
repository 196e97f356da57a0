"""A component whose attributes are a spec of the project: Dagster checks and shows that spec, and nothing else."""

from typing import Any, ClassVar, Self

import dagster as dg
from pydantic import BaseModel

from ml_assets.project.declared import Declared


class DeclaredComponent(dg.Component):
    """A component of one ``defs.yaml``; a subclass says what it ``declares``."""

    declares: ClassVar[type[Declared]]

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of the attributes, for Dagster's checks and for editors."""
        return cls.declares

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component with its attributes as they are declared."""
        return cls(attributes)
