"""Whether the scores may be read as what will come."""

from ml_assets.evaluation.gates.gate import CannotJudge, Case, Finding, Gate
from ml_assets.evaluation.spec import Standard


class IsCalibrated(Gate):
    """A score of 0.2 comes true once in five times, in all."""

    name = "is_calibrated"
    description = "The scores promise about as much as came."

    def required(self, standard: Standard) -> str:
        """The range of the ratio."""
        return "ratio from {:g} to {:g}".format(*standard.limits.calibration_ratio)

    def look(self, case: Case) -> Finding:
        """By mean score / mean label; of several classes, that of the class furthest from 1."""
        from ml_assets.evaluation.arrays import probabilities_problem
        from ml_assets.evaluation.metrics import class_ratios

        low, high = case.limits.calibration_ratio
        target, labels, scores = case.standard.target, case.labels(), case.scores("candidate")
        problem = probabilities_problem(scores) if target.is_classes else None
        if problem:
            return Finding(False, "no probabilities", f"The candidate: {problem}.")
        metrics = case.measured.metrics["candidate"]
        found = metrics["calibration_ratio"]
        if found != found:
            raise CannotJudge(
                "There is no ratio of promised to come: a class has no row, or the mean label is 0."
            )
        observed = f"ratio {found:.3f}"
        if target.kind == "multiclass":
            furthest = int((class_ratios(labels, scores) == found).argmax())
            promised = f"Class {target.classes[furthest]} is furthest from its share"
        else:
            observed += f" (mean score {scores.mean():.4g}, mean label {labels.mean():.4g})"
            promised = f"The candidate promises {scores.sum():.5g} in all, and {labels.sum():.5g} came"
        if "calibration_error" in metrics:
            observed += f"; calibration error {metrics['calibration_error']:.4f}"
        if low <= found <= high:
            return Finding(True, observed, f"{promised}: a ratio of {found:.2f}.")
        return Finding(False, observed, f"{promised}: a ratio of {found:.2f}, outside {low:g} to {high:g}.")
