"""What the code location takes to load, over ``import dagster``: seconds of CPU, fresh processes in turn, the fastest."""

from tempfile import TemporaryDirectory

from ml_assets_tests.benchmarks.declared import took
from ml_assets_tests.markdown import table

ROUNDS = 7
PROGRAMS = {
    "import dagster": "import dagster",
    "load the code location": "import ml_assets.definitions",
}


def main() -> None:
    """Measure and print."""
    with TemporaryDirectory() as compiled:
        for program in PROGRAMS.values():
            took(program, compiled)
        rounds = [[took(each, compiled).cpu for each in PROGRAMS.values()] for _ in range(ROUNDS)]
    bare, ours = (min(column) for column in zip(*rounds, strict=True))
    print(
        table(
            ("A fresh process", "CPU, s", f"over {next(iter(PROGRAMS))}"),
            [
                (name, f"{cpu:.2f}", f"{cpu / bare:.2f}")
                for name, cpu in zip(PROGRAMS, (bare, ours), strict=True)
            ],
        )
    )


if __name__ == "__main__":
    main()
