"""Ctrl-C and SIGTERM: noticed whatever becomes of the exception they raise, and obeyed in time.

Both raise KeyboardInterrupt where the main thread is. A library may swallow that or call it something else, and Dagster
handles both signals alike while it executes a run. So the interpreter also writes each signal's number to a pipe, which
a thread of ours reads: then everybody can ask ``received``, and a process that goes on for too long is ended.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SECONDS = 8.0
"""How long a process may take to stop by itself."""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""The signals that stop a command, with its exit code then."""
STOPPED = "stopped; what is written is whole, and the same command goes on from here"

# A child that is forked has its parent's pipe, and its signals are none of the parent's.
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

_received: list[signal.Signals] = []
_last_acts: list[Callable[[], None]] = []


def received() -> signal.Signals | None:
    """The signal that asked this process to stop; None if none has come."""
    return _received[0] if _received else None


def exit_code() -> int:
    """The exit code of a command that was stopped."""
    return CODES[received() or signal.SIGINT]


@contextmanager
def noticed() -> Iterator[None]:
    """Notice the signals while the body runs, in the main thread; ``_end`` the process where it doesn't stop in time."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    terminal = os.dup(2)  # A step's stderr leads elsewhere.
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(reader, terminal, over), name="signals", daemon=True)
    before = {number: signal.signal(number, _interrupt) for number in CODES}
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        over.set()
        os.close(writer)
        watching.join()
        os.close(reader)
        os.close(terminal)
        _received.clear()


@contextmanager
def asked() -> Iterator[threading.Event]:
    """An event that the signals and a closed terminal set while the body runs, which takes the time it needs."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        _note([number])
        stop.set()

    woken = signal.set_wakeup_fd(-1)
    before = {number: signal.signal(number, handle) for number in (*CODES, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, former in before.items():
            signal.signal(number, former)
        signal.set_wakeup_fd(woken)


@contextmanager
def last_act(act: Callable[[], None]) -> Iterator[None]:
    """Do something before the process is ended because it didn't stop while the body ran."""
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


@contextmanager
def unheard() -> Iterator[None]:
    """Processes started in the body don't hear of Ctrl-C, which a terminal sends to all: who started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _note(numbers: Iterable[int]) -> None:
    _received.extend(signal.Signals(number) for number in numbers if number in CODES)


def _watch(reader: int, terminal: int, over: threading.Event) -> None:
    """Take note of the first signal, and wait for the process to stop."""
    while signals := os.read(reader, 64):
        _note(signals)
        if _received:
            if not over.wait(SECONDS):
                _end(_received[0], terminal)
            return


def _end(sent: signal.Signals, terminal: int) -> None:
    """End this process and its children at once: every write is whole or not there, whenever it is cut off."""
    for act in reversed(_last_acts):
        acting = threading.Thread(target=act, daemon=True)  # It may wait for what the main thread holds.
        acting.start()
        acting.join(1)
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os.write(terminal, f"\n{STOPPED}\n".encode())
    os._exit(CODES[sent])
