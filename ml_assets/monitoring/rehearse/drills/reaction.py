"""What a project is expected to do about an incident, and whether it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["retrain", "block", "record", "nothing"]


@dataclass(frozen=True)
class Fact:
    """Something the project did, on a day of the drill counted from 0.

    ``retrain``: a training run for a reason of its own, not because time had passed. ``block``: a blocking check
    failed, or a day was withheld. ``record``: another check failed or warned, or there is evidence. ``by`` is the
    check, what found the evidence, or what triggered the retrain.
    """

    day: int
    kind: Kind
    by: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.kind} by {self.by} on day {self.day}"


@dataclass(frozen=True)
class Reaction:
    """What should happen, at the latest ``within_days`` after the incident's first day, or (None) at any time.

    ``by`` are the checks or triggers one of which should be at work; without any, whichever. A block or a
    record goes without a retrain, a record without a block, and nothing without both.
    """

    kind: Kind
    within_days: int | None = None
    by: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "nothing":
            return "neither a block nor a retrain"
        by = f" by {' or '.join(self.by)}" if self.by else ""
        without = {"retrain": "", "block": ", no retrain", "record": ", neither a block nor a retrain"}
        within = "" if self.within_days is None else f" within {self.within_days} days"
        return f"{self.kind}{by}{within}{without[self.kind]}"

    def seen_in(self, facts: Sequence[Fact]) -> Fact | None:
        """The first fact that is this reaction, or None."""
        for fact in facts:
            named = not self.by or any(fact.by == name or fact.by.endswith(f" {name}") for name in self.by)
            in_time = self.within_days is None or fact.day <= self.within_days
            if fact.kind == self.kind and in_time and named:
                return fact
        return None

    def forbids(self, facts: Sequence[Fact]) -> Fact | None:
        """The first fact that must not be beside this reaction, or None."""
        against = {"retrain": (), "block": ("retrain",), "record": ("block", "retrain")}
        kinds = against.get(self.kind, ("block", "retrain"))
        return next((fact for fact in facts if fact.kind in kinds), None)


@dataclass(frozen=True)
class DrillVerdict:
    """Expected against observed; ``why`` is a sentence for a person."""

    as_expected: bool
    expected: str
    observed: str
    why: str


def judge(expected: Sequence[Reaction], facts: Sequence[Fact]) -> DrillVerdict:
    """Hold what was done against the reactions of which one is ``expected``."""
    wanted = "; or ".join(map(str, expected))
    first: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        first.setdefault((fact.kind, fact.by), fact)
    observed = "; ".join(map(str, first.values())) or "nothing"
    reasons = []
    for reaction in expected:
        forbidden, seen = reaction.forbids(facts), reaction.seen_in(facts)
        if forbidden is not None:
            reasons.append(f"there was a {forbidden}{': ' if forbidden.said else ''}{forbidden.said}")
        elif seen is None and reaction.kind != "nothing":
            reasons.append(f"there was no {reaction}")
        else:
            return DrillVerdict(True, wanted, observed, str(seen) if seen else str(reaction))
    return DrillVerdict(False, wanted, observed, "; ".join(reasons))
