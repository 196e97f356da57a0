"""How MLflow loads a registered model: ``mlflow.pyfunc.load_model`` gives scores of a frame of features."""

from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.registry.mlflow_registry import check_files
from ml_assets.training.predictor import Predictor, load_predictor

if TYPE_CHECKING:
    import pandas as pd


class ServedModel:
    """What MLflow asks for predictions."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, features: "pd.DataFrame", params: dict[str, object] | None = None) -> "pd.DataFrame":
        """A frame with ``score``, the expected label; of several classes also a column per class, by its name."""
        import pandas as pd

        scores = self.predictor.score(features)
        found = pd.DataFrame({"score": scores.expected}, index=features.index)
        if scores.classes is not None:
            found[list(self.predictor.task.target.classes)] = scores.classes
        return found


def _load_pyfunc(path: str) -> ServedModel:
    import yaml

    folder = Path(path)
    logged = yaml.safe_load((folder.parents[1] / "MLmodel").read_text()).get("metadata") or {}
    check_files(folder, logged.get("model_sha256"), "the model")
    return ServedModel(load_predictor(folder))
