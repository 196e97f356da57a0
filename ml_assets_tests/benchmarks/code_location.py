"""How long the code location takes to load, over ``import dagster``: fresh processes, alternating, medians."""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
PROGRAMS = {
    "import dagster": "import dagster",
    "load the code location": "import ml_assets.definitions",
}


def main() -> None:
    """Measure and print."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
            seconds[name].append(time.perf_counter() - started)
    bare, ours = (statistics.median(seconds[name]) for name in PROGRAMS)
    print(f"code location, median of {ROUNDS} processes each")
    print(f"  import dagster           {bare:6.2f} s")
    print(f"  load the code location   {ours:6.2f} s")
    print(f"  difference               {ours - bare:6.2f} s   (budget 0.60 s)   ratio {ours / bare:.2f}")


if __name__ == "__main__":
    main()
