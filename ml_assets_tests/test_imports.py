"""Which room knows which, and what loading a room must not bring along."""

import ast
import json
import subprocess
import sys

import grimp
import pytest
from importlinter.cli import lint_imports

from ml_assets_tests.benchmarks.rooms import circles
from ml_assets_tests.places import CHECKOUT

WITHOUT_DAGSTER = (
    *("pipeline", "project", "serving", "monitoring", "evaluation", "registry", "training", "features"),
    *("landing", "contracts", "lake", "instance", "pages"),
)
PLUGINS = {f"ml_assets.instance.{name}" for name in ("compute_logs", "daemon", "event_log", "webserver")}
"""What Dagster loads by name, as dagster.yaml says, and the process that is Dagster."""


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for file in sorted((CHECKOUT / "ml_assets").rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(file.relative_to(CHECKOUT).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("ml_assets", cache_dir=None)


def test_imports_go_one_way() -> None:
    """The contract in pyproject.toml; what breaks it is printed with the lines."""
    assert lint_imports(config_filename=str(CHECKOUT / "pyproject.toml"), cache_dir=None) == 0


def test_no_files_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    assert circles(graph) == []


def test_a_circle_of_files_is_found() -> None:
    made = grimp.build_graph("ml_assets", cache_dir=None)
    made.add_import(importer="ml_assets.lake.days", imported="ml_assets.lake.table")
    (found,) = circles(made)
    assert {"ml_assets.lake.days", "ml_assets.lake.table"} <= found


def test_everything_below_components_loads_without_dagster(graph: grimp.ImportGraph) -> None:
    wanted = sorted(
        module
        for module in graph.modules
        if module.split(".")[1:2] and module.split(".")[1] in WITHOUT_DAGSTER and module not in PLUGINS
    )
    assert len({module.split(".")[1] for module in wanted}) == len(WITHOUT_DAGSTER)
    program = (
        f"import sys, json, importlib\nfor name in {wanted!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not {name for name in loaded if name.startswith("dagster")}
