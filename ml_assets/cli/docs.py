"""The page docs/commands.md, written from the commands themselves: ``python -m ml_assets.cli.docs > docs/commands.md``."""

from collections.abc import Iterator
from typing import Any

import typer

from ml_assets.cli.commands import app
from ml_assets.cli.exit_codes import EXIT_CODES
from ml_assets.cli.gone import NOW

HEAD = """\
# Commands

Written by `python -m ml_assets.cli.docs > docs/commands.md`; a test holds it against the commands.

`ml-assets COMMAND --help` says the same in the terminal. `ml-assets --install-completion` completes commands, options
and the names of sources, feature groups, models, features and incidents in your shell.

**Output.** The result is on stdout; progress, notes and errors are on stderr. With `--json` stdout is one JSON document
and nothing else. Tables fit a terminal, and are plain and never cut anywhere else; `NO_COLOR=1` is respected. On a
terminal a phase has a bar with the time it took and an estimate of the time it will take; in a log there is a line when
it begins, every ten seconds, and when it ends. What can't be counted (one query over a year) has no estimate.

**First word.** After 0.8 s in which a command has said nothing it says that it is at work (on a terminal with the seconds,
after 0.3 s). `python -m ml_assets_tests.benchmarks.first_output` measures when it comes, on a materialized project.

## Exit codes

| Code | Meaning |
|---|---|
"""


def page() -> str:
    """The whole page, as Markdown."""
    root = typer.main.get_command(app)
    codes = "".join(
        f"| {code} | {word}{': ' if full else ''}{full} |\n" for code, (word, full) in EXIT_CODES.items()
    )
    gone = "".join(f"| `ml-assets {old}` | `ml-assets {new}` |\n" for old, new in sorted(NOW.items()))
    return "".join(
        [
            HEAD,
            codes,
            *_commands(root, "ml-assets"),
            "\n## Spellings that are gone\n\nThey answer with the new one, and exit code 2.\n\n",
            "| Was | Is |\n|---|---|\n",
            gone,
        ]
    )


def _commands(group: Any, path: str) -> Iterator[str]:
    """The sections of a group: its own commands first, then each group in it."""
    context = typer.Context(group, info_name=path)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    groups = {name: each for name, each in found.items() if hasattr(each, "list_commands")}
    yield f"\n## {path}\n\n{group.help}\n"
    for name, command in found.items():
        if name not in groups:
            yield from _command(command, f"{path} {name}")
    for name, each in groups.items():
        yield from _commands(each, f"{path} {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    usage = " ".join([path, *(each.metavar for each in arguments), *(["[OPTIONS]"] if options else [])])
    said = " ".join(command.help.split())
    yield f"\n### {path}\n\n`{usage}`\n\n{said}\n"
    if arguments or options:
        yield "\n| | |\n|---|---|\n"
    for each in arguments:
        yield f"| `{each.metavar}` | {each.help} |\n"
    for each in options:
        yield f"| {_named(each)} | {each.help}{_default(each)} |\n"


def _named(option: Any) -> str:
    metavar = "" if option.is_flag else f" {option.metavar}"
    return f"`{', '.join(option.opts)}{metavar}`" + (" (needed)" if option.required else "")


def _default(option: Any) -> str:
    return "" if option.is_flag or option.default is None else f" Default: {option.default}."


if __name__ == "__main__":
    print(page(), end="")
