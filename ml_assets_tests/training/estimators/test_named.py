import pytest

from ml_assets.training.estimators import NAMED, UnknownEstimator, estimator_class

OWN = "ml_assets_tests.training.estimators.own"


@pytest.mark.parametrize("name", NAMED)
def test_a_name_stands_for_a_class(name: str) -> None:
    assert NAMED[name].endswith(f".{estimator_class(name).__name__}")


def test_a_dotted_path_is_a_class_of_ones_own() -> None:
    assert estimator_class(f"{OWN}.ByCategory").__name__ == "ByCategory"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("xgbost", "no estimator xgbost; did you mean xgboost? there are xgboost, hist_gradient_boosting, "),
        (
            "nothing",
            "no estimator nothing; there are xgboost, hist_gradient_boosting, logistic_regression, and any ",
        ),
        ("no.such.Class", "estimator no.such.Class can't be imported: No module named 'no'"),
        (f"{OWN}.Nobody", "Nobody can't be imported: module .* has no attribute 'Nobody'"),
        (
            f"{OWN}.Unrelated",
            "Unrelated is no class that derives from ml_assets.training.estimators.Estimator",
        ),
        (f"{OWN}.LacksLoad", r"LacksLoad lacks load, predict \(.*\), predict_proba \(.*\)"),
        (f"{OWN}.LacksPredict", r"LacksPredict lacks predict \(or a target fewer in kinds\)"),
        (f"{OWN}.OtherParameters", "its Parameters are no class that derives from .*estimators.Parameters"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(name: str, said: str) -> None:
    with pytest.raises(UnknownEstimator, match=said.replace("?", r"\?") if "mean" in said else said):
        estimator_class(name)
