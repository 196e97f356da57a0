"""Model cards: what a version is, what it was made of, how it was judged, and what isn't known of it.

A card is generated from facts alone. Its sections are worked out once; Markdown and HTML show the same ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ml_assets.lake.definition import short
from ml_assets.registry.compare import UNKNOWN, number
from ml_assets.registry.facts import NOT_METRICS, ModelFacts, Row
from ml_assets.registry.pins import LABEL, POPULATION, TRAINING

TOP = 15
"""How many features a card names by importance."""


@dataclass(frozen=True)
class Section:
    """A part of a card: sentences, then pairs of a name and a value, then a table. Empty: not recorded."""

    title: str
    says: tuple[str, ...] = ()
    pairs: Mapping[str, str] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.says or self.pairs or self.rows or self.shares)


def sections(facts: ModelFacts) -> list[Section]:
    """The parts of a version's card, in their order."""
    return [
        _use(facts),
        Section("Limits", says=limits(facts)),
        _metrics(facts),
        _gates(facts),
        _parts("Slices", facts.slices, facts.declared.slices, "slices"),
        _parts("Groups and fairness", facts.groups, facts.declared.groups, "groups"),
        _promotions(facts),
        Section("Importance", shares=dict(list(facts.importance.items())[:TOP])),
        _features(facts),
        Section("Training", pairs=facts.training),
        Section("Parameters", pairs=facts.parameters),
        Section("Made of", pairs={**_inputs(facts), **_definitions(facts), **_hashes(facts)}),
        Section("Machine", pairs=facts.machine),
    ]


def _use(facts: ModelFacts) -> Section:
    declared = facts.declared
    changed = () if facts.as_declared else (_declaration(facts),)
    return Section(
        "What it is for",
        says=(declared.description or f"Description: {UNKNOWN}.", *changed),
        pairs={
            "Predicts": declared.label or UNKNOWN,
            "Target": facts.target or f"{UNKNOWN} with the version; declared as {declared.target}",
            "Scores": f"who meets `{declared.population}`" if declared.population else UNKNOWN,
            "Owners": ", ".join(declared.owners) or UNKNOWN,
            "Knows the days before": str(facts.cutoff or UNKNOWN),
            "Registered": f"{facts.created:%Y-%m-%d %H:%M} UTC" if facts.created else UNKNOWN,
        },
    )


def _declaration(facts: ModelFacts) -> str:
    trained = facts.hashes.get("config")
    if trained is None:
        return (
            "Which declaration it was trained from is not recorded; what is said of its purpose is today's."
        )
    return (
        f"Its declaration has changed since it was trained (config {trained[:12]}, today {facts.declared.config[:12]}): "
        "what is said of its purpose is today's."
    )


def _features(facts: ModelFacts) -> Section:
    means = facts.declared.features
    rows = tuple((name, means.get(name) or UNKNOWN, _definition(facts, name)) for name in facts.features)
    return Section("Features", head=("Feature", "Means", "Definition"), rows=rows)


def _definition(facts: ModelFacts, name: str) -> str:
    """The definition by which it was learnt from, and whether that has changed since."""
    pinned, declared = facts.definitions.get(name), facts.declared.definitions.get(name)
    if pinned is None:
        return UNKNOWN
    if declared is None:
        return f"{short(pinned)}, not declared any more"
    return f"{short(pinned)}, declared today is {short(declared)}" if pinned != declared else short(pinned)


def _inputs(facts: ModelFacts) -> dict[str, str]:
    return {f"Table {name}": f"version {version}" for name, version in facts.inputs.items()} or {
        "Tables": UNKNOWN
    }


def _definitions(facts: ModelFacts) -> dict[str, str]:
    names = (LABEL, POPULATION, TRAINING)
    return {f"Definition of {name}": _definition(facts, name) for name in names}


def _hashes(facts: ModelFacts) -> dict[str, str]:
    names = {
        "training set": "Training set, SHA-256",
        "model file": "Model file, SHA-256",
        "config": "Config, SHA-256",
        "lock file": "Lock file, SHA-256",
        "commit": "Commit",
        "uncommitted changes": "Uncommitted changes",
    }
    words = {"true": "yes", "false": "no"}
    return {
        shown: words.get(facts.hashes.get(name, ""), facts.hashes.get(name, UNKNOWN))
        for name, shown in names.items()
    }


def _metrics(facts: ModelFacts) -> Section:
    names = list(dict.fromkeys(k for row in facts.metrics for k in row if k not in NOT_METRICS))
    head = ("Metric", *(_role(row) for row in facts.metrics))
    rows = tuple(
        (name.replace("_", " "), *(number(row.get(name)) for row in facts.metrics)) for name in names
    )
    return Section("Metrics on the holdout", head=head, rows=rows)


def _role(row: Row) -> str:
    version = row.get("model_version")
    return f"{row['role']}, version {version}" if version else str(row["role"])


def _gates(facts: ModelFacts) -> Section:
    names = ("status", "gate", "observed", "required", "reason")
    rows = tuple(tuple(str(gate.get(name) or UNKNOWN) for name in names) for gate in facts.gates)
    return Section("Gates", head=tuple(name.capitalize() for name in names), rows=rows)


def _parts(title: str, rows: Sequence[Row], declared: Sequence[str], what: str) -> Section:
    if rows:
        head = tuple(dict.fromkeys(name for row in rows for name in row))
        cells = tuple(tuple(number(row.get(name)) for name in head) for row in rows)
        return Section(title, head=tuple(name.replace("_", " ") for name in head), rows=cells)
    if not declared:
        return Section(title, says=(f"The model declares no {what}.",))
    return Section(title, says=(f"Declared by {', '.join(declared)}; what was measured is {UNKNOWN} here.",))


def _promotions(facts: ModelFacts) -> Section:
    if not facts.promotions:
        return Section("Promotions", says=("It has never been champion.",))
    rows = tuple(
        (
            f"{move.at:%Y-%m-%d %H:%M} UTC",
            move.action,
            f"{move.from_version or 'none'} → {move.to_version}",
            move.who,
            move.reason,
        )
        for move in facts.promotions
    )
    said = tuple(
        f"Promoted against its evidence by {move.who} on {move.at:%Y-%m-%d}: {move.reason}"
        for move in facts.overrides
    )
    return Section("Promotions", said, head=("When", "Action", "Version", "Who", "Why"), rows=rows)


def limits(facts: ModelFacts) -> tuple[str, ...]:
    """What the version was not evaluated on, and what can't be told of it."""
    declared, said = facts.declared, []
    if facts.metrics and facts.cutoff:
        said.append(
            f"Its metrics are of one holdout: the population of {facts.cutoff}, and what happened to it after that."
        )
    elif not facts.metrics:
        said.append("No evaluation of this version is on record.")
    if declared.population:
        said.append(f"Who doesn't meet `{declared.population}` is neither trained on nor evaluated.")
    if facts.metrics and not any(row["role"] == "champion" for row in facts.metrics):
        said.append("It was compared with no champion.")
    open_gates = [str(row["gate"]) for row in facts.gates if row["status"] == "NOT EVALUATED"]
    if open_gates:
        said.append(f"Not evaluated: {', '.join(open_gates)}.")
    if not declared.groups:
        said.append("No groups are declared: how it treats groups of people was not evaluated.")
    if not declared.slices:
        said.append("No slices are declared: only the whole holdout was judged.")
    if facts.hashes.get("uncommitted changes") == "true":
        said.append("It was trained with uncommitted changes: its commit alone doesn't give its code back.")
    if facts.hashes.get("uncommitted changes", "unknown") == "unknown":
        said.append("Whether its code was committed is not recorded.")
    return tuple(said)


def headline(facts: ModelFacts) -> str:
    """Which version of which cutoff."""
    return f"version {facts.version} · cutoff {facts.cutoff or UNKNOWN}"


def verdict(facts: ModelFacts) -> tuple[str, str]:
    """The outcome in a word, and why."""
    count = len(facts.gates)
    if facts.decision == "not evaluated":
        word, why = "NOT EVALUATED", "No decision record of this version is on record."
    elif facts.decision == "passed":
        word, why = "PASS", f"All {count} gates pass."
    else:
        bad = [str(row["gate"]) for row in facts.gates if row["status"] not in ("PASS", "WARN")]
        word, why = "REFUSED", f"{len(bad)} of {count} gates {'does' if len(bad) == 1 else 'do'} not pass: "
        why += f"{', '.join(bad)}."
    if facts.overrides:
        last = facts.overrides[-1]
        why += f" {last.who} made it champion all the same: {last.reason}"
    if facts.rolled_back:
        last = facts.rolled_back
        why += f" {last.who} rolled it back on {last.at:%Y-%m-%d}: {last.reason}"
    return word, why


def card_markdown(facts: ModelFacts) -> str:
    """The card as Markdown."""
    word, why = verdict(facts)
    aliases = ", ".join(facts.aliases) or "no alias"
    lines = [
        f"# {_plain(facts.declared.name)}",
        "",
        f"{headline(facts)} · {aliases}",
        "",
        f"**{word}.** {_plain(why)}",
        "",
    ]
    for section in sections(facts):
        lines += [f"## {section.title}", ""]
        if section.is_empty:
            lines += [f"{UNKNOWN.capitalize()}.", ""]
        bullet = "- " if len(section.says) > 1 else ""
        lines += [f"{bullet}{_plain(text)}" for text in section.says] + ([""] if section.says else [])
        if section.pairs:
            lines += _table(("", ""), tuple(section.pairs.items()))
        if section.rows:
            lines += _table(section.head, section.rows)
        if section.shares:
            shares = tuple((name, f"{share:.1%}") for name, share in section.shares.items())
            lines += _table(("Feature", "Share"), shares)
    return "\n".join(lines).rstrip() + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines] + [""]


def _plain(text: str) -> str:
    """Text that neither breaks a row of a table nor is read as HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
