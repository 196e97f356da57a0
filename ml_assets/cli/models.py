"""Commands about models: their versions, what differs between two, cards, approval, override and rollback."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.instance import home
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.components.model.component import Bound
    from ml_assets.lake import Lake
    from ml_assets.registry import Version
    from ml_assets.registry.book import Book
    from ml_assets.registry.card import Section
    from ml_assets.registry.facts import ModelFacts
    from ml_assets.registry.promotion import Moved

MAIN_METRICS = ("auc", "r2", "skill")
"""The main metric of each kind of target; an evaluation has one of them."""
NONE = "-"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands ``models``, ``approve``, ``promote`` and ``rollback``."""
    text = "List model versions, show one, compare two, or print a model card."
    models = commands.add_parser("models", help=text, description=text)
    actions = models.add_subparsers(required=True, metavar="ACTION")
    listing = _command(actions, "list", list_command, "Print every version of every model, or of one.")
    listing.add_argument("model", nargs="?")
    show = _command(actions, "show", show_command, "Print all that is on record about a version.")
    diff = _command(actions, "diff", diff_command, "Print what differs between two versions.")
    card = _command(actions, "card", card_command, "Print the model card of a version, as Markdown.")
    for sub in (show, diff, card):
        sub.add_argument("model")
        sub.add_argument("version", type=int)
    diff.add_argument("other", type=int, metavar="version")
    files = card.add_mutually_exclusive_group()
    files.add_argument("--html", type=Path, metavar="FILE", help="write it as one HTML page instead")
    files.add_argument("--markdown", type=Path, metavar="FILE", help="write it to this file instead")

    approve = _command(
        commands, "approve", approve_command, "Promote a version that passed and waits for approval."
    )
    approve.add_argument("model")
    approve.add_argument("version", type=int, nargs="?", help="default: the challenger")
    promote = _command(commands, "promote", promote_command, "Promote one version, by its evidence.")
    promote.add_argument("model")
    promote.add_argument("version", type=int)
    promote.add_argument(
        "--override", action="store_true", help="whatever its evidence says; needs --who and is on record"
    )
    promote.add_argument("--who", help="who answers for it (default: the user)")
    text = "Move a model's champion back to the version before it."
    rollback = _command(commands, "rollback", rollback_command, text)
    rollback.add_argument("model")
    rollback.add_argument("--to", type=int, metavar="VERSION", help="the version to go to")
    for sub in (approve, promote, rollback):
        sub.add_argument("--why", required=True, help="the reason, for the promotion log")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: object, text: str
) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=text, description=text)
    sub.set_defaults(run=run)
    return sub


@dataclass(frozen=True)
class Shown:
    """A model with its book."""

    model: "Bound"
    lake: "Lake"
    book: "Book"

    def version(self, number: int) -> "Version":
        """A version. Raises Refusal with those there are."""
        found = {v.number: v for v in self.book.registry.versions(self.model.name)}
        if number not in found:
            listed = ", ".join(map(str, sorted(found))) or "none: materialize a candidate first"
            raise Refusal(f"{self.model.name} has no version {number}; there are {listed}")
        return found[number]

    def facts(self, number: int) -> "ModelFacts":
        """What is on record about a version."""
        from ml_assets.pipeline.facts import facts

        return facts(self.book, self.model, self.lake, self.version(number))


def _models() -> "dict[str, Bound]":
    from ml_assets.cli.app import project

    return project().models


@contextmanager
def opened(name: str, models: "Mapping[str, Bound] | None" = None) -> Iterator[Shown]:
    """One of the ``models`` (the project's) by name; what the registry or the lake can't do becomes a Refusal."""
    from ml_assets.definitions import resources
    from ml_assets.lake import LakeError, connect
    from ml_assets.registry import Registry
    from ml_assets.registry.aliases import repair
    from ml_assets.registry.mlflow_registry import RegistryError

    models = _models() if models is None else models
    if name not in models:
        raise Refusal(f"there is no model {name}; there are {', '.join(models) or 'none'}")
    if not (home.data() / "mlflow" / "mlflow.db").exists():
        raise Refusal(f"no model has been trained in {home.data()} yet: ml-assets materialize")
    lake, registry = resources()["lake"].lake, Registry.below(home.data())  # type: ignore[attr-defined]
    try:
        _tell(repair(lake, registry))
        with connect() as con:
            yield Shown(models[name], lake, models[name].book(con, lake, registry))
    except (RegistryError, LakeError) as error:
        raise Refusal(str(error)) from error


def smoke_prediction(shown: Shown, version: "Version", rows: int = 5) -> str:
    """Load a version, score the first rows of the newest population with it, and say what came out."""
    import numpy as np

    from ml_assets.registry.mlflow_registry import RegistryError
    from ml_assets.serving import population_frame
    from ml_assets.training.frames import check_frame

    model, con = shown.model, shown.book.con
    snapshot = model.group.snapshot(shown.lake)
    ((newest,),) = snapshot.read(con, columns=["as_of"]).aggregate("max(as_of)").fetchall()
    population = model.spec.population
    if newest is None:
        raise RegistryError(f"{snapshot.name} has no rows to score")
    frame = population_frame(
        con, snapshot, (newest, newest), entity=model.entity, population=population
    ).head(rows)
    if frame.empty:
        raise RegistryError(
            f"nobody meets {population} in {snapshot.name} of {newest}, so there is nothing to score"
        )
    frame = check_frame(frame, model.group.feature_types, entity=model.entity, target=None)
    scores = shown.book.registry.load(version).score(frame).expected
    if scores.shape != (len(frame),) or not np.isfinite(scores).all():
        raise RegistryError(
            f"of {len(frame)} rows of {newest}, {int(np.isfinite(scores).sum())} have a finite score"
        )
    listed = ", ".join(f"{value:.4g}" for value in scores)
    return f"version {version.number} scores {len(frame)} rows of {newest}: {listed}"


def list_command(options: argparse.Namespace) -> int:
    """Print the versions, and put aliases right that don't follow the log."""
    from ml_assets.registry.aliases import follow

    rows, models = [], _models()
    for name in [options.model] if options.model else models:
        with opened(name, models) as shown:
            _tell(follow(shown.book))
            rows += _version_rows(shown)
    head = ("model", "version", "cutoff", "alias", "metric", "decision", "registered, UTC", "commit")
    if not rows:
        print("no version is registered; materialize a candidate first")
        return 0
    _table(head, rows)
    return 0


def _version_rows(shown: Shown) -> list[tuple[str, ...]]:
    from ml_assets.registry.aliases import names

    book, log = shown.book, shown.book.log()
    named = names(book, log)
    verdicts = {verdict.version: verdict for verdict in book.verdicts()}
    metrics = _main_metrics(book)
    overridden = {m.to_version: m.who for m in log.moves if m.action == "override"}
    leant_on = {m.to_version: m.evidence["passed"] for m in log.moves if m.evidence}
    rows: list[tuple[str, ...]] = []
    for version in sorted(book.registry.versions(book.model), key=lambda v: v.number):
        number = version.number
        passed = verdicts[number].passed if number in verdicts else leant_on.get(number)
        decision = NONE if passed is None else "passed" if passed else "refused"
        if number in overridden:
            decision = f"{decision}, overridden by {overridden[number]}"
        if number in log.withdrawn:
            decision += ", rolled back"
        rows.append(
            (
                book.model,
                str(number),
                version.tags.get("cutoff", NONE),
                ", ".join(sorted(name for name, at in named.items() if at == number)) or NONE,
                metrics.get(number, NONE),
                decision,
                f"{version.created:%Y-%m-%d %H:%M}" if version.created else NONE,
                _commit(version.tags.get("git_commit", NONE), version.tags.get("git_dirty")),
            )
        )
    return rows


def _commit(commit: str, dirty: str | None) -> str:
    return commit[:10] + (" and changes" if dirty == "true" else "")


def _main_metrics(book: "Book") -> dict[int, str]:
    """Version -> the main metric of its evaluation, by name."""
    if not book.tables.evaluation.exists:
        return {}
    rows = book.tables.evaluation.read(book.con).filter("role = 'candidate'").to_arrow_table().to_pylist()
    found = {}
    for row in rows:
        name = next((name for name in MAIN_METRICS if row.get(name) is not None), None)
        if name:
            found[row["model_version"]] = f"{name} {row[name]:.4f}"
    return found


def show_command(options: argparse.Namespace) -> int:
    """Print tags, inputs, metrics, gates, promotions and overrides of a version."""
    from ml_assets.registry.card import Section, headline, sections, verdict

    with opened(options.model) as shown:
        facts, tags = shown.facts(options.version), shown.version(options.version).tags
    word, why = verdict(facts)
    print(f"{options.model} {headline(facts)} · {', '.join(facts.aliases) or 'no alias'}\n{word}: {why}")
    named = {name: str(value) for name, value in sorted(tags.items())}
    for section in [*sections(facts), Section("Tags", pairs=named)]:
        _print_section(section)
    return 0


def _print_section(section: "Section") -> None:
    print(f"\n{section.title}")
    if section.is_empty:
        print("  not recorded")
    for text in section.says:
        print(f"  {text}")
    if section.pairs:
        _table((), [*section.pairs.items()], indent="  ")
    if section.rows:
        _table(section.head, section.rows, indent="  ")
    if section.shares:
        _table((), [(name, f"{share:.1%}") for name, share in section.shares.items()], indent="  ")


def diff_command(options: argparse.Namespace) -> int:
    """Print the differences of two versions."""
    from ml_assets.registry.compare import differences

    with opened(options.model) as shown:
        first, second = shown.facts(options.version), shown.facts(options.other)
    found = differences(first, second)
    if not found:
        print(f"nothing on record differs between versions {first.version} and {second.version}")
        return 0
    head = ("", "", f"version {first.version}", f"version {second.version}")
    _table(head, [(d.kind, d.what, d.first, d.second) for d in found])
    if first.cutoff != second.cutoff and first.metrics and second.metrics:
        print(
            f"The metrics are of two holdouts, {first.cutoff} and {second.cutoff}: they don't say which version is better."
        )
    return 0


def card_command(options: argparse.Namespace) -> int:
    """Print or write the model card."""
    from ml_assets.registry.card import card_markdown
    from ml_assets.registry.card_page import card_html

    with opened(options.model) as shown:
        facts = shown.facts(options.version)
    path = options.html or options.markdown
    text = card_html(facts) if options.html else card_markdown(facts)
    if path is None:
        print(text, end="")
        return 0
    try:
        path.write_text(text)
    except OSError as error:
        raise Refusal(f"can't write {path}: {error.strerror}; name a file in a folder that exists") from error
    print(f"{path} is written")
    return 0


def approve_command(options: argparse.Namespace) -> int:
    """Promote what waits."""
    from getpass import getuser

    from ml_assets.registry.promotion import approve

    with opened(options.model) as shown:
        moved = approve(shown.book, who=getuser(), reason=options.why, version=options.version)
        _show_in_ui(shown)
    return _moved(options.model, moved)


def promote_command(options: argparse.Namespace) -> int:
    """Promote one version by its evidence, or against it."""
    from getpass import getuser

    from ml_assets.registry.promotion import override, promote_version

    if options.override and not options.who:
        raise Refusal("--override needs --who NAME: a person answers for it, by name, in the promotion log")
    act, who = (override, options.who) if options.override else (promote_version, options.who or getuser())
    with opened(options.model) as shown:
        moved = act(shown.book, who=who, reason=options.why, version=options.version)
        _show_in_ui(shown)
    return _moved(options.model, moved)


def rollback_command(options: argparse.Namespace) -> int:
    """Move the champion back, once the target has made predictions."""
    from getpass import getuser

    from ml_assets.registry.rollback import rollback

    with opened(options.model) as shown:
        done = rollback(
            shown.book,
            who=getuser(),
            reason=options.why,
            smoke=lambda version: smoke_prediction(shown, version),
            to=options.to,
        )
        _show_in_ui(shown)
    print(f"before: {done.before}\nafter:  {done.after}")
    return _moved(options.model, done.moved)


def _show_in_ui(shown: Shown) -> None:
    """Tell the Dagster instance of the log as it is now."""
    from ml_assets.cli.app import instance
    from ml_assets.components.model.promotions import materialization

    with instance() as running:
        running.report_runless_asset_event(materialization(shown.model, shown.lake, shown.book.log().moves))


def _moved(model: str, moved: "Moved") -> int:
    _tell(moved.notes)
    before = f"version {moved.before}" if moved.before else "none"
    print(f"champion of {model}: {before} -> version {moved.after.number}")
    return 0


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> None:
    """Print columns aligned, two spaces apart; the last one is as long as it is."""
    lines = [list(head), *map(list, rows)] if head else [list(row) for row in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        print(f"{indent}{'  '.join(cells)}".rstrip())
