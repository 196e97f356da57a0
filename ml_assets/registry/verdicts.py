"""Which candidate may become champion: the decision records, and whether they still hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import eq
from typing import Literal

import duckdb

from ml_assets.lake import Table
from ml_assets.registry.promotion_log import PromotionLog

Approval = Literal["automatic", "manual"]


@dataclass(frozen=True)
class GateVerdict:
    """The outcome of a decision record: did that version pass every gate, and against which champion."""

    cutoff: date
    version: int
    champion_version: int | None
    passed: bool
    reason: str
    """What the gates say that were not passed."""
    holdout: str | None = None
    """Digest of the rows it was judged on."""
    policy: str | None = None
    """Hash of the gate policy it was judged under."""
    record: int = field(default=0, compare=False)
    """The version of the table ``decisions`` it was read from."""


def _unknown(cutoff: date) -> str | None:
    return None


@dataclass(frozen=True)
class PromotionRules:
    """What evidence is held against, as things are now."""

    policy: str
    """Hash of the gate policy."""
    approval: Approval = "automatic"
    holdout: Callable[[date], str | None] = _unknown
    """The digest of a cutoff's holdout as it is now, None where it isn't known. Asked of what passes otherwise."""


@dataclass(frozen=True)
class Plan:
    """What to do about the candidates, oldest cutoff first."""

    promote: tuple[GateVerdict, ...] = ()
    wait: tuple[GateVerdict, ...] = ()
    """What passed and is to be approved by a person."""
    refuse: tuple[tuple[GateVerdict, str], ...] = ()

    @property
    def challenger(self) -> int | None:
        """The newest version that waits for approval."""
        return self.wait[-1].version if self.wait else None


def read_verdicts(con: duckdb.DuckDBPyConnection, decisions: Table) -> list[GateVerdict]:
    """The outcome of every decision record, oldest cutoff first. A gate passes with PASS or WARN only."""
    version = decisions.version
    if version is None:
        return []
    found = decisions.read(con, version=version)
    policy = "policy" if "policy" in found.columns else "NULL::VARCHAR"
    rows = (
        found.select(f"*, coalesce(status IN ('PASS', 'WARN'), false) AS ok, {policy} AS judged_under")
        .aggregate(
            "cutoff, model_version, champion_version, bool_and(ok), "
            "coalesce(string_agg(gate || ': ' || reason, ' ' ORDER BY gate) FILTER (WHERE NOT ok), ''), "
            f"holdout, judged_under, any_value({version})"
        )
        .order("cutoff")
        .fetchall()
    )
    return [GateVerdict(*row) for row in rows]


def newest_candidates(con: duckdb.DuckDBPyConnection, candidate: Table) -> dict[date, int]:
    """Cutoff -> the version that was trained at it last."""
    if not candidate.exists:
        return {}
    rows = candidate.read(con, columns=["cutoff", "model_version"])
    return dict(rows.aggregate("cutoff, max(model_version)").order("cutoff").fetchall())


def plan(
    verdicts: Sequence[GateVerdict],
    log: PromotionLog,
    candidates: Mapping[date, int],
    rules: PromotionRules,
    alike: Callable[[int, int], bool] = eq,
) -> Plan:
    """Walk the verdicts in the order of cutoffs, from the champion on.

    A verdict is followed only if it passed, still holds (see ``refusal``), and compared the candidate with the
    very version that is champion at its turn; anything else is refused with a reason. Where a person approves,
    it waits, and no other verdict builds on it. ``alike`` says whether two versions are the same model.
    """
    follow: list[GateVerdict] = []
    refuse: list[tuple[GateVerdict, str]] = []
    current = log.champion
    for verdict in sorted(verdicts, key=lambda v: (v.cutoff, v.version)):
        if log.cutoff is not None and verdict.cutoff <= log.cutoff:
            if verdict.passed and verdict.version not in log.champions:
                refuse.append((verdict, _overtaken(verdict, log)))
            continue
        why = _withdrawn(verdict, log, alike) or refusal(verdict, log, candidates, rules, current)
        if why:
            refuse.append((verdict, why))
            continue
        follow.append(verdict)
        if rules.approval == "automatic":
            current = verdict.version
    if rules.approval == "automatic":
        return Plan(promote=tuple(follow), refuse=tuple(refuse))
    return Plan(wait=tuple(follow), refuse=tuple(refuse))


def _overtaken(verdict: GateVerdict, log: PromotionLog) -> str:
    when = "the same cutoff" if verdict.cutoff == log.cutoff else f"the later cutoff {log.cutoff}"
    return (
        f"it was overtaken: the champion, version {log.champion}, is of {when}; a candidate of a cutoff after "
        f"{log.cutoff} is needed"
    )


def _withdrawn(verdict: GateVerdict, log: PromotionLog, alike: Callable[[int, int], bool]) -> str | None:
    """That a person has withdrawn this version, or the same model under another number; None if nobody has."""
    version = verdict.version
    for number, move in log.withdrawals(alike).items():
        if alike(version, number):
            again = "" if number == version else f" is version {number} trained again, which"
            return (
                f"version {version}{again} was rolled back; a newer candidate is needed. {move.who} said why: "
                f"{move.reason.rstrip('.')}. To use it all the same: ml-assets models promote {log.model} {version} "
                "--override --why TEXT"
            )
    return None


def refusal(
    verdict: GateVerdict,
    log: PromotionLog,
    candidates: Mapping[date, int],
    rules: PromotionRules,
    champion: int | None,
) -> str | None:
    """Why a verdict is not followed while ``champion`` is in use, and what to do; None if it is."""
    again = f"evaluate it again: materialize {log.model}/evaluation of {verdict.cutoff}"
    newest = candidates.get(verdict.cutoff)
    if newest is None:
        return (
            f"there is no candidate of cutoff {verdict.cutoff} on record: materialize {log.model}/candidate and "
            f"{log.model}/evaluation of {verdict.cutoff}"
        )
    if newest != verdict.version:
        return (
            f"its evidence is about version {verdict.version}, but that cutoff was trained again, as version "
            f"{newest}: {again.replace('it again', 'that')}"
        )
    if not verdict.passed:
        return verdict.reason
    if verdict.champion_version != champion:
        against = f"version {verdict.champion_version}" if verdict.champion_version else "no champion"
        now = f"version {champion}" if champion else "none"
        return f"its evidence compares with {against}, but the champion is {now}: {again}"
    if verdict.policy != rules.policy:
        judged = f"under {verdict.policy[:12]}" if verdict.policy else "under a policy that isn't on record"
        return f"it was judged {judged}, and the gate policy is {rules.policy[:12]} now: {again}"
    holdout = rules.holdout(verdict.cutoff)
    if holdout is not None and holdout != verdict.holdout:
        judged = verdict.holdout[:12] if verdict.holdout else "one that isn't on record"
        return (
            f"the labels or features of its holdout have changed since it was judged (digest {judged}, now "
            f"{holdout[:12]}): {again}"
        )
    return None


def reference(
    verdicts: Sequence[GateVerdict],
    log: PromotionLog,
    candidates: Mapping[date, int],
    rules: PromotionRules,
    cutoff: date,
    alike: Callable[[int, int], bool] = eq,
) -> int | None:
    """The version a candidate of ``cutoff`` is compared with: the one that is champion at its turn.

    That is the last one that the plan promotes at an earlier cutoff, or the champion itself. At cutoffs up to the
    champion's own, which are only looked back at, it is the newest earlier one that passed and was not withdrawn.
    """
    earlier = [verdict for verdict in verdicts if verdict.cutoff < cutoff]
    if log.cutoff is None or log.cutoff < cutoff:
        ahead = plan(earlier, log, candidates, rules, alike).promote
        return ahead[-1].version if ahead else log.champion
    passed = [v for v in earlier if v.passed and not _withdrawn(v, log, alike)]
    return max(passed, key=lambda v: (v.cutoff, v.version)).version if passed else None
