"""What a fresh process makes of the candidate's artifact."""

from ml_assets.evaluation.facts import Served
from ml_assets.evaluation.gates.gate import CannotJudge, Case, Finding, Gate
from ml_assets.evaluation.spec import Standard


class IsFastAndSmall(Gate):
    """It can be served as it is."""

    name = "is_fast_and_small"
    description = "The model scores a row, and fits in a file, within its limits."

    def required(self, standard: Standard) -> str:
        """Time of a row, and size."""
        limits = standard.limits
        return f"median <= {limits.max_latency_ms:g} ms a row; <= {limits.max_size_mb:g} MB"

    def look(self, case: Case) -> Finding:
        """Both limits, each named if it is broken."""
        limits, served = case.limits, _scoring(case)
        megabytes, median = served.size_bytes / 1e6, served.latency_ms
        if median != median or served.size_bytes <= 0:
            raise CannotJudge("The process that read the model back measured no latency or no size.", "FAIL")
        observed = f"median {median:.2f} ms, p99 {served.latency_p99_ms:.2f} ms a row; {megabytes:.2f} MB"
        problems = []
        if not median <= limits.max_latency_ms:
            problems.append(f"A single row takes {median:.2f} ms, and {limits.max_latency_ms:g} are allowed")
        if not megabytes <= limits.max_size_mb:
            problems.append(f"The model has {megabytes:.2f} MB, and {limits.max_size_mb:g} are allowed")
        if problems:
            return Finding(False, observed, "; ".join(problems) + ".")
        return Finding(True, observed, f"A row takes {median:.2f} ms, the model {megabytes:.2f} MB.")


class ReloadsAndPredicts(Gate):
    """What was measured is what will be in use."""

    name = "reloads_and_predicts"
    description = (
        "A fresh process reads the model back from the registry, has the packages it was made with, and gives "
        "the scores the fitted model gave."
    )
    may_only_warn = False

    def required(self, standard: Standard) -> str:
        """The same of every model."""
        return "the same scores after a reload; every pinned package installed"

    def look(self, case: Case) -> Finding:
        """Every package that differs is named."""
        served = _scoring(case)
        observed = (
            f"{'same' if served.same_scores else 'other'} scores; {len(served.differing)} packages differ"
        )
        problems = list(served.differing)
        if not served.same_scores:
            problems.insert(0, "The model read back from the registry gives other scores than the fitted one")
        if problems:
            return Finding(False, observed, "; ".join(problems) + ".")
        return Finding(True, observed, "The model read back by a fresh process gives the same scores.")


def _scoring(case: Case) -> Served:
    """What the fresh process found. Raises CannotJudge if there was none, or it could not score."""
    if case.served is None:
        raise CannotJudge("The model was not read back from the registry, so nothing says that it can be.")
    if case.served.same_scores is None:
        why = [*case.served.differing, case.served.error or "it gave no reason"]
        raise CannotJudge(f"A fresh process could not score with the model: {'; '.join(why)}.", "FAIL")
    return case.served
