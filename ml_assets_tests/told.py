"""A listener of progress that keeps what it hears."""

from collections import defaultdict

from ml_assets.instance.progress import Progress


class Told(Progress):
    """All that was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[str] = []
        self.outcomes: list[str] = []
        self.counts: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def begin(self, phase: str) -> None:
        self.phases.append(phase)

    def advance(self, unit: str, done: int, of: int) -> None:
        self.counts[unit].append((done, of))

    def end(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def say(self, line: str) -> None:
        self.lines.append(line)
