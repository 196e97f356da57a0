"""What commands print: results on stdout, as tables or JSON; everything else on stderr."""

import json
import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
from typing import TextIO

PATIENCE = 0.8
"""Seconds without a word after which a command says that it is at work."""
NONE = "-"


class _Wait:
    """Says that a command is at work, until it says something itself: a spinner on a terminal, or else one line."""

    def __init__(self, words: str) -> None:
        self.words, self.over, self.drawn = words, threading.Event(), False
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        started, terminal = time.monotonic(), sys.stderr.isatty()
        if self.over.wait(0.3 if terminal else PATIENCE):
            return
        if not terminal:
            print(f"{self.words} ...", file=sys.stderr, flush=True)
            return
        while not self.over.is_set():
            self.drawn = True
            seconds = time.monotonic() - started
            print(f"\r\x1b[2K{self.words}, {seconds:.0f} s", end="", file=sys.stderr, flush=True)
            self.over.wait(0.2)

    def end(self) -> None:
        """Be quiet, and clear what is drawn."""
        if self.over.is_set():
            return
        self.over.set()
        self.thread.join()
        if self.drawn:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


_wait: _Wait | None = None


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Say ``words``, if any, while the body keeps silent for long."""
    global _wait
    _wait = _Wait(words) if words else None
    try:
        yield
    finally:
        silence()


def silence() -> None:
    """End the waiting: something is about to be said."""
    if _wait is not None:
        _wait.end()


class OutputClosed(Exception):
    """Whoever read the output has gone."""


def text(line: str = "", *, end: str = "\n") -> None:
    """Print part of the result. Raises OutputClosed."""
    _print(f"{line}{end}", sys.stdout)


def note(line: str) -> None:
    """Print something beside the result. Raises OutputClosed."""
    _print(f"{line}\n", sys.stderr)


def _print(written: str, to: TextIO) -> None:
    silence()
    try:
        print(written, end="", file=to, flush=True)
    except BrokenPipeError as error:
        raise OutputClosed from error


def as_json(value: object) -> None:
    """Print the result as one JSON document.

    Dataclasses are objects; a number that is none is null; dates and whatever else JSON doesn't know are texts.
    """
    text(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], indent: str = "") -> None:
    """Print rows under a head (empty: none); None is a dash. Wrapped to a terminal, whole lines anywhere else."""
    cells = [[NONE if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _on_terminal(head, cells, indent)
        return
    lines = [list(head), *cells] if head else cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        text(f"{indent}{'  '.join(padded)}".rstrip())


def _on_terminal(head: Sequence[str], rows: Sequence[Sequence[str]], indent: str) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, show_header=bool(head), pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in head or [""] * max(map(len, rows), default=0):
        shown.add_column(Text(name))
    for row in rows:
        shown.add_row(*map(Text, row))
    silence()
    Console().print(Padding(shown, (0, 0, 0, len(indent))))
