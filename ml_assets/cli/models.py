"""Commands about models: versions and cards, approval, override and rollback, and what answers for what was done."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml_assets.cli import show
from ml_assets.cli.progress import shown
from ml_assets.cli.shared import (
    Day,
    Json,
    MaybeModel,
    ModelName,
    VersionNumber,
    Why,
    group,
    known,
    opened,
)
from ml_assets.instance import progress
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.operations.reproduce import Compared
    from ml_assets.operations.versions import VersionLine
    from ml_assets.registry.card import Section
    from ml_assets.registry.promotion import ChampionMoved

commands = group("Versions and cards; approve, promote, roll back; train again, and trace a prediction.")

HEAD = ("model", "version", "cutoff", "alias", "metric", "decision", "registered, UTC", "commit")


@commands.command("list")
def list_(model: MaybeModel = None, json: Json = False) -> int:
    """Print every version of every model, or of one."""
    from ml_assets.operations.opened import project
    from ml_assets.operations.versions import version_lines
    from ml_assets.registry.aliases import follow

    lines: list[VersionLine] = []
    models = project().models
    for name in [model] if model else models:
        with opened(name, models) as found:
            for said in follow(found.book):
                show.note(f"note: {said}")
            lines += version_lines(found.book)
    if json:
        show.as_json(lines)
    elif lines:
        show.table(HEAD, [_cells(line) for line in lines])
    else:
        show.text("no version is registered; materialize a candidate first")
    return 0


def _cells(line: "VersionLine") -> tuple[object, ...]:
    return (
        line.model,
        line.version,
        line.cutoff,
        ", ".join(line.aliases) or None,
        line.metric and f"{line.metric} {line.value:.4f}",
        line.decision,
        line.registered and f"{line.registered:%Y-%m-%d %H:%M}",
        line.git_commit and line.git_commit[:10] + (" and changes" if line.git_dirty else ""),
    )


@commands.command("show")
def show_(model: ModelName, version: VersionNumber, json: Json = False) -> int:
    """Print all that is on record about a version."""
    from ml_assets.registry.card import Section, headline, sections, verdict

    with opened(model) as found:
        facts, tags = found.facts(version), found.version(version).tags
    named = {name: str(value) for name, value in sorted(tags.items())}
    if json:
        show.as_json({"model": model, "facts": facts, "tags": named})
        return 0
    word, why = verdict(facts)
    show.text(f"{model} {headline(facts)} · {', '.join(facts.aliases) or 'no alias'}\n{word}: {why}")
    for section in [*sections(facts), Section("Tags", pairs=named)]:
        _print_section(section)
    return 0


def _print_section(section: "Section") -> None:
    show.text(f"\n{section.title}")
    if section.is_empty:
        show.text("  not recorded")
    for said in section.says:
        show.text(f"  {said}")
    if section.pairs:
        show.table((), [*section.pairs.items()], indent="  ")
    if section.rows:
        show.table(section.head, section.rows, indent="  ")
    if section.shares:
        show.table((), [(name, f"{share:.1%}") for name, share in section.shares.items()], indent="  ")


@commands.command()
def diff(
    model: ModelName,
    version: VersionNumber,
    other: Annotated[int, typer.Argument(metavar="OTHER", help="Another version.")],
    json: Json = False,
) -> int:
    """Print what differs between two versions."""
    from ml_assets.registry.compare import differences

    with opened(model) as found:
        first, second = found.facts(version), found.facts(other)
    unlike = differences(first, second)
    if json:
        show.as_json(unlike)
        return 0
    if not unlike:
        show.text(f"nothing on record differs between versions {first.version} and {second.version}")
        return 0
    head = ("", "", f"version {first.version}", f"version {second.version}")
    show.table(head, [(d.kind, d.what, d.first, d.second) for d in unlike])
    if first.cutoff != second.cutoff and first.metrics and second.metrics:
        show.text(
            f"The metrics are of two holdouts, {first.cutoff} and {second.cutoff}: they don't say which version is better."
        )
    return 0


@commands.command()
def card(
    model: ModelName,
    version: VersionNumber,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as one HTML page instead.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it to this file instead.")
    ] = None,
) -> int:
    """Print the model card of a version, as Markdown."""
    from ml_assets.registry.card import card_markdown
    from ml_assets.registry.card_page import card_html

    if html and markdown:
        raise typer.BadParameter("give one of --html and --markdown")
    with opened(model) as found:
        facts = found.facts(version)
    path = html or markdown
    page = card_html(facts) if html else card_markdown(facts)
    if path is None:
        show.text(page, end="")
        return 0
    try:
        path.write_text(page)
    except OSError as error:
        raise Refusal(f"can't write {path}: {error.strerror}; name a file in a folder that exists") from error
    show.text(f"{path} is written")
    return 0


@commands.command()
def approve(
    model: ModelName,
    why: Why,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="Its number (default: the challenger).")
    ] = None,
) -> int:
    """Promote a version that passed and waits for approval."""
    from ml_assets.operations import versions

    with opened(model) as found:
        moved = versions.approved(found.book, why, version)
        versions.show_in_ui(found.model, found.lake, found.book)
    return _moved(model, moved)


@commands.command()
def promote(
    model: ModelName,
    version: VersionNumber,
    why: Why,
    override: Annotated[
        bool,
        typer.Option("--override", help="Whatever its evidence says; needs --who, and is on record."),
    ] = False,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who answers for it (default: the user).")
    ] = None,
) -> int:
    """Promote one version, by its evidence."""
    from ml_assets.operations import versions

    if override and not who:
        raise Refusal("--override needs --who NAME: a person answers for it, by name, in the promotion log")
    with opened(model) as found:
        moved = versions.promoted(found.book, why, version, who, against_evidence=override)
        versions.show_in_ui(found.model, found.lake, found.book)
    return _moved(model, moved)


@commands.command()
def rollback(
    model: ModelName,
    why: Why,
    to: Annotated[int | None, typer.Option(metavar="VERSION", help="The version to go to.")] = None,
) -> int:
    """Move a model's champion back to the version before it, once that has made predictions."""
    from ml_assets.operations import versions

    with opened(model) as found:
        done = versions.rolled_back(
            found.book,
            why,
            to,
            lambda version: versions.smoke_prediction(found.model, found.lake, found.book, version),
        )
        versions.show_in_ui(found.model, found.lake, found.book)
    show.text(f"before: {done.before}\nafter:  {done.after}")
    return _moved(model, done.moved)


def _moved(model: str, moved: "ChampionMoved") -> int:
    for said in moved.notes:
        show.note(f"note: {said}")
    before = f"version {moved.before}" if moved.before else "none"
    show.text(f"champion of {model}: {before} -> version {moved.after.number}")
    return 0


@commands.command()
def rebuild(
    model: ModelName,
    cutoff: Day,
    json: Json = False,
) -> int:
    """Build a training set again from the table versions on record; exit 1 if its hash is another."""
    from ml_assets.lake import connect
    from ml_assets.operations.opened import lake, project
    from ml_assets.training.training_set import rebuild_training_set

    models = project().models
    bound = models[known("model", model, models)]
    tables, snapshot = bound.tables(lake()), bound.group.snapshot(lake())
    with shown(), progress.phase("build the training set again"), connect() as con:
        built = rebuild_training_set(
            con,
            snapshot,
            tables.labels,
            tables.training_set,
            cutoff.date(),
            **bound.training_set_of(lake()),
        )
    if json:
        show.as_json(
            {
                "model": model,
                "cutoff": cutoff.date(),
                "versions": built.versions,
                "rows": built.rows,
                "digest": built.digest,
                "stored_digest": built.stored_digest,
                "is_same": built.is_same,
            }
        )
        return 0 if built.is_same else 1
    for name, version in built.versions.items():
        show.text(f"from {name} version {version}")
    show.text(f"{built.rows} rows, content hash {built.digest}")
    if not built.is_same:
        show.text(f"stored are others, content hash {built.stored_digest}")
    return 0 if built.is_same else 1


@commands.command()
def reproduce(model: ModelName, version: VersionNumber, json: Json = False) -> int:
    """Train a version again from what is on record; exit 1 if anything comes out different."""
    from ml_assets.operations.reproduce import reproduce as train_again

    with opened(model) as found, shown(), progress.phase(f"train version {version} of {model} again"):
        made = train_again(found.book.con, found.model, found.lake, found.book.registry, version)
    if json:
        show.as_json(
            {
                "model": model,
                "version": version,
                "cutoff": made.version.cutoff,
                "is_same": made.is_same,
                "results": [_compared(one) for one in made.results],
                "circumstances": [_compared(one) for one in made.circumstances],
            }
        )
        return 0 if made.is_same else 1
    show.text(f"{model} version {version}, cutoff {made.version.cutoff}, trained again")
    for result in made.results:
        show.text(_line(result))
    unlike = [one for one in made.circumstances if not one.is_same]
    if not made.is_same:
        show.text(
            "what differs between then and now, and may explain it:"
            if unlike
            else "code and machine are the same"
        )
        for one in unlike:
            show.text(_line(one))
    show.text("the same" if made.is_same else "NOT the same")
    return 0 if made.is_same else 1


def _compared(one: "Compared") -> dict[str, object]:
    return {"name": one.name, "recorded": one.recorded, "again": one.again, "is_same": one.is_same}


def _line(one: "Compared") -> str:
    if one.is_same:
        return f"  {one.name:<14} {one.recorded}  the same"
    return f"  {one.name:<14} {one.recorded}  on record, {one.again} now"


@commands.command()
def trace(
    prediction_id: Annotated[
        str, typer.Argument(metavar="PREDICTION_ID", help="A value of that column in MODEL/predictions.")
    ],
    events: Annotated[int, typer.Option(min=0, metavar="N", help="How many events to print.")] = 10,
    json: Json = False,
) -> int:
    """Follow a prediction back: version, features as computed, the events behind them, training data, commit."""
    from ml_assets.lake import connect
    from ml_assets.operations.opened import lake, project, registry
    from ml_assets.operations.trace import described
    from ml_assets.operations.trace import trace as follow

    with shown(), progress.phase("follow the prediction back"), connect() as con:
        found = follow(con, project().models, lake(), registry(), prediction_id, shown=events)
    if json:
        show.as_json(
            {
                "model": found.model.name,
                "prediction": found.prediction,
                "version": found.version,
                "score_again": found.score_again,
                "snapshot_version": found.snapshot_version,
                "features": found.features,
                "features_hash": found.features_hash,
                "unlike_events": [str(one) for one in found.unlike_events],
                "not_recomputed": found.not_recomputed,
                "events": found.events,
            }
        )
    else:
        show.text("\n".join(described(found)))
    return 0
