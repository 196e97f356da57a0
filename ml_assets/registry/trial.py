"""A trial of registered models in a fresh process: does each load there, and give the scores it gave when fitted?

The process reads a JSON object per line, and answers each with one. It imports neither MLflow nor Dagster: what it
needs stands in the model's artifact.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from ml_assets.instance.stopping import unheard
from ml_assets.registry.requirements import ImportWatch, pins_of

if TYPE_CHECKING:
    import pandas as pd

DATA = "data/predictor"
"""The folder of the predictor within a model's artifact, where MLflow puts it."""
SINGLE_ROWS = 100
"""How many rows are scored one by one, to see how long one takes."""


@dataclass(frozen=True)
class Trial:
    """What the fresh process found."""

    scores: tuple[float, ...]
    """Of the rows it was given; empty with an error."""
    differing: tuple[str, ...]
    """Requirements of the artifact that are installed in another version, or not at all."""
    size_bytes: int
    latency_ms: float
    """Median of single rows."""
    latency_p99_ms: float
    error: str = ""


class TrialProcess:
    """A process that tries models, for as long as there are any to try."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def run(self, artifact: Path, rows: "pd.DataFrame") -> Trial:
        """Load the model of an artifact's folder and score rows of its features."""
        found = self._ask("trial", artifact, rows)
        if found is None:
            code = self.process.wait()
            return Trial((), (), size_of(artifact), 0.0, 0.0, f"the process ended with exit code {code}")
        return Trial(tuple(found.pop("scores")), tuple(found.pop("differing")), **found)

    def imports(self, artifact: Path, rows: "pd.DataFrame") -> tuple[str, ...]:
        """The pins of what the process imports to score rows with the models it is asked about, up to this one.

        A process that is asked this is asked nothing else. Of a model that fails to score, it is what was imported until
        then; nothing if the process ends by it.
        """
        return tuple(self._ask("imports", artifact, rows) or ())

    def _ask(self, what: str, artifact: Path, rows: "pd.DataFrame") -> Any:
        """The answer, or None if the process has ended."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            rows.to_parquet(path)
            asked = json.dumps({"what": what, "artifact": str(artifact), "rows": str(path)})
            to, answers = self._pipes()
            try:
                to.write(asked + "\n")
                to.flush()
                answer = answers.readline()
            except BrokenPipeError:
                answer = ""
        return json.loads(answer) if answer else None

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout


@contextmanager
def trial_process(path: Sequence[str] | None = None) -> Iterator[TrialProcess]:
    """A fresh process for trials, of one thread, as one that serves requests; it ends with the body.

    It finds the modules that any process of this environment finds, or those on a ``path`` such as ``sys.path``.
    """
    command = [sys.executable, "-c", "from ml_assets.registry.trial import main; main()"]
    its_own = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path is not None:
        its_own["PYTHONPATH"] = os.pathsep.join(path)
    with unheard():
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=its_own
        )
    try:
        yield TrialProcess(process)
    except BaseException:
        process.kill()
        raise
    finally:
        process.communicate()


def size_of(artifact: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file())


def differing_requirements(artifact: Path) -> list[str]:
    """The pins of the artifact's requirements.txt that are not met here, in words."""
    found = []
    for line in (artifact / "requirements.txt").read_text().splitlines():
        name, _, pinned = line.partition("==")
        try:
            here = version(name)
        except PackageNotFoundError:
            found.append(
                f"{name} {pinned} is needed, and not installed: add {name}=={pinned} to the project's packages"
            )
            continue
        if here != pinned:
            found.append(f"{name} {pinned} is pinned, {here} is installed")
    return found


def tried(artifact: Path, rows: Path) -> Trial:
    """Load and score in this process."""
    import pandas as pd

    from ml_assets.training.predictor import load_predictor

    size, differing = size_of(artifact), tuple(differing_requirements(artifact))
    try:
        predictor = load_predictor(artifact / DATA)
        frame = pd.read_parquet(rows)
        scores = tuple(map(float, predictor.score(frame).expected))
        times = []
        for n in range(min(SINGLE_ROWS, len(frame))):
            started = time.perf_counter()
            predictor.score(frame.iloc[n : n + 1])
            times.append((time.perf_counter() - started) * 1000)
    except Exception as error:
        return Trial((), differing, size, 0.0, 0.0, f"{type(error).__name__}: {error}")
    return Trial(scores, differing, size, statistics.median(times), quantile(times, 0.99))


def imported(artifact: Path, rows: Path) -> tuple[str, ...]:
    """Load and score in this process; the pins of what the project's code has imported for that."""
    watch = _watch()
    with suppress(Exception):  # The trial tells what fails.
        import pandas as pd

        from ml_assets.training.predictor import DESCRIPTION, load_predictor

        estimator = json.loads((artifact / DATA / DESCRIPTION).read_text())["estimator"]
        watch.own.add(str(estimator).partition(".")[0])
        load_predictor(artifact / DATA).score(pd.read_parquet(rows))
    return pins_of(watch.imported)


@cache
def _watch() -> ImportWatch:
    """What this process has imported since it was asked first."""
    watch = ImportWatch()
    watch.install()
    return watch


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of the values reaches at most."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    """Answer a line with a line."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        artifact, rows = Path(asked["artifact"]), Path(asked["rows"])
        found = imported(artifact, rows) if asked["what"] == "imports" else asdict(tried(artifact, rows))
        answers.write(json.dumps(found) + "\n")
        answers.flush()
