"""A holdout that is too good is asked about: what predicts so well has most often seen the label."""

from ml_assets.evaluation.gates.gate import CannotJudge, Case, Finding, Gate
from ml_assets.evaluation.spec import Standard


class IsBelievable(Gate):
    """The candidate is not better than anything honest is."""

    name = "is_believable"
    description = (
        "The candidate's metric is below what is too good to be true; else a feature is suspected to know the label, "
        "and a person is asked."
    )

    def required(self, standard: Standard) -> str:
        """The limit."""
        return f"{standard.metric_name} below {standard.limits.too_good:g}"

    def look(self, case: Case) -> Finding:
        """Names the feature that alone knows the most."""
        case.labels()
        case.scores("candidate")
        name, limit = case.standard.metric_name, case.limits.too_good
        mine = case.measured.metrics["candidate"][case.standard.metric]
        if mine != mine:
            raise CannotJudge(f"The {name} of the candidate is not defined.", "FAIL")
        observed = f"{name} {mine:.4f}"
        if mine < limit:
            return Finding(True, observed, f"The {name} {mine:.4f} is below {limit:g}.")
        measure = "AUC" if case.standard.target.kind == "binary" else "rank correlation"
        known = [f"{feature} ({measure} {value:.3f})" for feature, value in case.measured.alone.items()]
        most = f"Alone, {known[0]} knows the most of the label" if known else "No feature is known"
        then = f", then {known[1]}" if known[1:] else ""
        return Finding(
            False,
            observed,
            f"The {name} {mine:.4f} is too good to be true (from {limit:g} on): a leak is suspected. {most}{then}. Look "
            "whether it is written after the label is known; if all is right, raise gates.too_good, name this gate in "
            "gates.warn_only, or promote the version with --override.",
        )
