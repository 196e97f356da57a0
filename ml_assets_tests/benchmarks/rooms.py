"""The rooms of the package: files, lines, and how they know each other. ``python -m ml_assets_tests.benchmarks.rooms``."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp

from ml_assets_tests.places import CHECKOUT

PACKAGE = CHECKOUT / "ml_assets"


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """The sets of files that import each other in a circle."""
    reach = {module: graph.find_downstream_modules(module) for module in graph.modules}
    found: list[set[str]] = []
    for module in sorted(graph.modules):
        circle = {module} | {other for other in reach[module] if module in reach[other]}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def _rooms() -> Iterator[tuple[str, Path]]:
    for file in PACKAGE.rglob("*.py"):
        yield "/".join(file.relative_to(PACKAGE).parts[:-1][:2]) or ".", file


def main() -> None:
    """Print a Markdown table of rooms, then the number of circles."""
    files, lines = Counter[str](), Counter[str]()
    for room, file in _rooms():
        files[room] += 1
        lines[room] += len(file.read_text().splitlines())
    whole = sum(lines.values())
    print("| room | files | lines | share |\n|---|---|---|---|")
    for room in sorted(files):
        print(f"| {room} | {files[room]} | {lines[room]:,} | {lines[room] / whole:.1%} |")
    print(f"| all | {sum(files.values())} | {whole:,} | |")
    print(f"\ncircles of files: {len(circles(grimp.build_graph('ml_assets', cache_dir=None)))}")


if __name__ == "__main__":
    main()
