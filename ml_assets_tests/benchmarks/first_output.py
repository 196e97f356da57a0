"""How long each command takes to its first word, and in all: ``python -m ml_assets_tests.benchmarks.first_output``.

On the project in ``ML_ASSETS_HOME``, which has to be materialized, and with what ends by itself: nothing is written
but what reading writes. The first word is the first byte on stdout or stderr, which are pipes here; on a terminal the
spinner begins earlier. CPU is what the other work of a machine leaves alone. Another ``ml-assets`` may be given, to
compare with, and how it spells the commands.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import time
from contextlib import suppress

import psutil

COMMANDS = (
    "--help",
    "nonsense",
    "materialize",
    "check --select group:transactions",
    "down",
    "init",
    "data quarantine transactions",
    "contract diff {contract} {contract}",
    "features list",
    "features describe spend_28d",
    "features plan spine",
    "models list",
    "models show lapse 12",
    "models diff lapse 11 12",
    "models card lapse 12",
    "models rebuild lapse 2017-12-03",
    "models reproduce lapse 12",
    "models trace nobody",
    "monitor log lapse",
    "monitor calibrate lapse --days 30 --seeds 1",
    "monitor drills",
    "monitor backtest lapse",
)
CONTRACT = "ml_assets/defs/transactions/contract.yaml"
BEFORE = {
    "data quarantine": "quarantine show",
    "models rebuild": "training-set rebuild",
    "models reproduce": "reproduce",
    "models trace": "trace",
    "monitor drills": "drill",
    "monitor backtest": "backtest-policy",
}


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds to the first byte, of the process's CPU until then, and to the end."""
    started, cpu = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        first = time.perf_counter() - started
        with suppress(psutil.Error):
            times = psutil.Process(process.pid).cpu_times()
            cpu = times.user + times.system
        process.stdout.read()
    return first, cpu, time.perf_counter() - started


def main() -> None:
    """Print a line of Markdown a command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=f"{sys.executable} -m ml_assets.cli", help="the command line")
    parser.add_argument("--before", action="store_true", help="it has the old spellings")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    print("| Command | first word, s | of CPU until then, s | done, s |\n|---|---|---|---|")
    for words in COMMANDS:
        spelt = words.format(contract=CONTRACT)
        if given.before:
            spelt = next((spelt.replace(new, old) for new, old in BEFORE.items() if new in spelt), spelt)
        taken = [measure([*shlex.split(given.program), *spelt.split()]) for _ in range(given.times)]
        first, cpu, done = (statistics.median(each) for each in zip(*taken, strict=True))
        print(f"| `{words.split(' {')[0]}` | {first:.1f} | {cpu:.1f} | {done:.1f} |", flush=True)


if __name__ == "__main__":
    main()
