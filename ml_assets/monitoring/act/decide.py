"""What to do now: retrain, wait, ask a person, or nothing, and why. One function of what is on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

from ml_assets.monitoring.act.evidence import Evidence
from ml_assets.monitoring.spec import MonitoringPolicy

Trigger = Literal["first", "drift", "performance", "age", "declared"]
Outcome = Literal["running", "failed", "rejected", "waiting", "promoted"]

STANDS = timedelta(days=7)
"""How long evidence stands without being found again: as long as it takes for the next cohort to mature."""
MONTH = timedelta(days=30)
ENDED = ("rejected", "waiting", "promoted")
ATTEMPTS = 3
"""How often a retrain that fails is tried in all."""


class Attempt(NamedTuple):
    """An earlier retrain: the day it was asked for, of which cutoff, against which champion, and what came of it."""

    on: date
    cutoff: date
    champion: int | None
    outcome: Outcome
    run: str = ""


class Champion(NamedTuple):
    """The version in use, its cutoff, and the day on which it could first be used."""

    version: int
    cutoff: date
    since: date


@dataclass(frozen=True)
class Situation:
    """What is on record about a model on a day.

    ``today`` is the day after the last one that landed, so a history that is replayed decides as it did.
    ``mature`` is the newest cutoff with mature labels and ``next_mature`` the day on which the next has them.
    ``evidence`` is the newest against the champion, ``broken`` the days of broken data that a retrain would
    learn from or that the champion scores now, with the reasons; ``judged`` says what became of the candidate
    of ``mature`` if it was judged against this champion. ``redefined`` says in words that the champion predicts something
    else than is declared now. ``attempts`` are in order of time.
    """

    today: date
    champion: Champion | None
    mature: date | None
    next_mature: date | None = None
    evidence: Evidence | None = None
    broken: Mapping[date, str] | None = None
    judged: str | None = None
    redefined: str | None = None
    attempts: Sequence[Attempt] = ()


@dataclass(frozen=True)
class Action:
    """What is done and why. ``wait`` is for something that is due and held up, ``ask`` for what needs a person."""

    kind: Literal["retrain", "wait", "ask", "nothing"]
    why: str
    trigger: Trigger | None = None
    evidence: Evidence | None = None


def decide(situation: Situation, policy: MonitoringPolicy) -> Action:
    """What to do about a model now."""
    trigger, why = _due(situation, policy)
    evidence = situation.evidence if trigger in ("drift", "performance") else None
    if trigger is None:
        return Action("nothing", why)
    if held := _held_up(situation, policy):
        kind, what = held
        return Action(kind, f"{what} Due because {_lower(why)}", trigger, evidence)
    return Action("retrain", why, trigger, evidence)


def standing(evidence: Evidence | None, today: date) -> Evidence | None:
    """The evidence if it still stands."""
    return evidence if evidence is not None and today - evidence.as_of <= STANDS else None


def _due(situation: Situation, policy: MonitoringPolicy) -> tuple[Trigger | None, str]:
    """What calls for a retrain and why; or None, and why nothing does."""
    champion, mature = situation.champion, situation.mature
    if champion is None:
        return ("first", "There is no champion yet.") if mature else (None, _NO_LABELS)
    if situation.redefined:
        return "declared", situation.redefined
    found = standing(situation.evidence, situation.today)
    if found is not None and found.calls_for == "retrain":
        return found.found_by, found.reason
    age = (mature - champion.cutoff).days if mature else 0
    if age >= policy.max_age_days:
        return "age", (
            f"Version {champion.version} is of cutoff {champion.cutoff}, {age} days before {mature}, the newest with "
            f"mature labels; a model is renewed after {policy.max_age_days}."
        )
    due = champion.cutoff + timedelta(days=policy.max_age_days)
    renewed = f"Version {champion.version} is renewed regardless once a cutoff of {due} or later is mature."
    if found is not None:
        return None, f"{found.reason} {renewed}"
    return None, f"Nothing calls for a retrain. {renewed}"


_NO_LABELS = "No cutoff has mature labels yet, so there is nothing to train on."


def _held_up(situation: Situation, policy: MonitoringPolicy) -> tuple[Literal["wait", "ask"], str] | None:
    """What stands in the way of a retrain that is due, the weightiest first; None if nothing does."""
    champion, mature = situation.champion, situation.mature
    if mature is None or (champion is not None and mature <= champion.cutoff):
        then = f"; the next does on {situation.next_mature}" if situation.next_mature else ""
        return "wait", f"No cutoff after the champion's has mature labels yet{then}."
    if situation.broken:
        day, reason = max(situation.broken.items())
        return "ask", f"Broken data is mended, never learnt: {day}: {_ended(reason)}"
    version = champion.version if champion else None
    if running := [a for a in situation.attempts if a.outcome == "running"]:
        return "wait", f"Retrain run {running[-1].run} is in flight."
    same = [a for a in situation.attempts if (a.cutoff, a.champion) == (mature, version)]
    failed = [a for a in same if a.outcome == "failed"]
    if len(failed) >= ATTEMPTS:
        return "ask", (
            f"{len(failed)} retrains of cutoff {mature} have failed, the last is run {failed[-1].run}: mend the cause "
            "and re-execute it."
        )
    rejected = _rejected_in_a_row(situation.attempts, version)
    if len(rejected) >= policy.rejections:
        return "ask", (
            f"{len(rejected)} candidates in a row were rejected, the last of cutoff {rejected[-1].cutoff}: retraining "
            "doesn't mend this. Look at the decision records, then at label, features and data."
        )
    if situation.judged:
        return "wait", situation.judged
    return _too_soon(situation, policy, rejected)


def _too_soon(
    situation: Situation, policy: MonitoringPolicy, rejected: Sequence[Attempt]
) -> tuple[Literal["wait", "ask"], str] | None:
    """What earlier attempts, and the champion's youth, forbid. ``rejected`` are the last ones, in a row."""
    champion, today = situation.champion, situation.today
    ended = [a for a in situation.attempts if a.outcome in ENDED]
    if rejected:
        free = rejected[-1].on + timedelta(days=policy.back_off_days * 2 ** (len(rejected) - 1))
        if today < free:
            return (
                "wait",
                f"The candidate of cutoff {rejected[-1].cutoff} was rejected; the next is tried on {free}.",
            )
    if champion is None:
        return None
    last = max([champion.since, *(a.on for a in ended)])
    free = last + timedelta(days=policy.cool_down_days)
    if not rejected and today < free:
        return "wait", f"Cooling down since {last}, until {free}."
    recent = [a for a in ended if today - a.on < MONTH]
    if len(recent) >= policy.retrains_a_month:
        return "wait", (
            f"{len(recent)} retrains in the last 30 days use up the budget of {policy.retrains_a_month}; the next can "
            f"be on {recent[-policy.retrains_a_month].on + MONTH}."
        )
    return None


def _rejected_in_a_row(attempts: Sequence[Attempt], version: int | None) -> list[Attempt]:
    """The newest attempts against this champion that came to an end, as far as all of them were rejected."""
    found: list[Attempt] = []
    for attempt in reversed([a for a in attempts if a.outcome in ENDED]):
        if attempt.outcome != "rejected" or attempt.champion != version:
            break
        found.insert(0, attempt)
    return found


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else sentence + "."
