"""The command ml-assets as a process: its environment, its exit codes, its errors. The commands are in ``commands``."""

import errno
import os
import sys
from collections.abc import Sequence
from sqlite3 import OperationalError
from typing import NoReturn

from ml_assets.cli.exit_codes import CLOSED, DONE, FAULT, INTERRUPTED, NO
from ml_assets.instance import stopping

COMPLETING = "_ML_ASSETS_COMPLETE"
"""The variable by which a shell asks for completions."""
OF_THE_DISK = {
    errno.EROFS: "Mount its disk writable, or name another folder in ML_ASSETS_HOME",
    errno.ENOSPC: "Make room on its disk",
    errno.EDQUOT: "Make room within the quota",
}
"""What to do about errors of a disk as a whole."""


def run() -> NoReturn:
    """Run the command line's command and leave at once.

    The interpreter is not wound down: DuckDB 2.0's bindings (nanobind) then print a page about leaked references
    after runs that have trained (``ml-assets materialize``). Everything is written and closed by then.
    """
    try:
        code = main()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        code = CLOSED
    except KeyboardInterrupt:
        code = stopping.exit_code()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, one of ``exit_codes``."""
    with stopping.noticed():
        try:
            return _command(sys.argv[1:] if arguments is None else list(arguments))
        except KeyboardInterrupt:
            return _stopped()
        except Exception as error:
            return _failed(error)


def _command(arguments: list[str]) -> int:
    from typer import TyperException

    from ml_assets.cli import show
    from ml_assets.cli.commands import app

    _environment()
    words = "" if COMPLETING in os.environ else " ".join(["ml-assets", *_words(arguments)])
    with show.waiting(words):
        try:
            code = app(arguments, prog_name="ml-assets", standalone_mode=False)
        except TyperException as error:
            context = getattr(error, "ctx", None)
            where = context.command_path if context else "ml-assets"
            if error.format_message():
                _tell(f"{error.format_message()}\nSee `{where} --help`.")
            return error.exit_code
    return _stopped() if code == INTERRUPTED else int(code or DONE)


def _words(arguments: list[str]) -> list[str]:
    """The command's own words, as far as they can be told from what it is about."""
    return [word for word in arguments[:2] if word.isalpha()]


def _environment() -> None:
    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")


def _failed(error: Exception) -> int:
    """Say what went wrong, without a stack trace unless that is asked for."""
    from ml_assets.cli.show import OutputClosed

    if isinstance(error, OutputClosed):
        return CLOSED
    if os.environ.get("ML_ASSETS_TRACEBACK"):
        raise error
    meant = _meant(error)
    if meant is not None:
        _tell(_words_of(meant))
        return NO
    _tell(
        f"{type(error).__name__}: {error}\nThis is a fault of ml-assets. Run it again with ML_ASSETS_TRACEBACK=1 "
        "in front, and report what it prints."
    )
    return FAULT


def _meant(error: BaseException) -> BaseException | None:
    """The error among ``error`` and its causes that was raised for a person to read; None if there is none.

    These are the errors the package declares, and what the file system or a locked or full database refuses.
    """
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__module__.startswith("ml_assets.") or isinstance(seen, (OSError, OperationalError)):
            return seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


def _words_of(meant: BaseException) -> str:
    """What is told of an error that was raised for a person; of a database, also where it is and what to look at."""
    if isinstance(meant, OSError) and meant.errno in OF_THE_DISK and meant.filename is not None:
        return f"{meant.filename} can't be written: {meant.strerror}. {OF_THE_DISK[meant.errno]}, then run it again"
    if not isinstance(meant, OperationalError):
        return str(meant)
    from ml_assets.instance import home

    return (
        f"a database of Dagster or MLflow below {home.root()} can't be used: {meant}. See who holds it (`ml-assets down` "
        "ends the servers), whether the folder can be written, and whether its disk is full; then run it again"
    )


def _stopped() -> int:
    print(f"\n{stopping.STOPPED}", file=sys.stderr)
    return stopping.exit_code()


def _tell(text: str) -> None:
    print(f"ml-assets: {text}", file=sys.stderr)
