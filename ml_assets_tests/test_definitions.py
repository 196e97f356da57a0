"""The whole graph at a glance, and what loading it must not cost."""

import ast
import json
import subprocess
import sys

import dagster as dg
import pytest

from ml_assets.definitions import build
from ml_assets.instance.home import CHECKOUT

MODELS = ("lapse", "spend_next_28d")
GRAPH: dict[str, set[str]] = {
    "transactions/raw": set(),
    "transactions/events": {"transactions/raw"},
    "transactions/quarantine": {"transactions/raw"},
    "household_features/tiles": {"transactions/events"},
    "household_features/snapshot": {"household_features/tiles"},
    "household_features/catalogue": {"household_features/snapshot"},
    "lake/maintenance": set(),
}
for model in MODELS:
    GRAPH |= {
        f"{model}/labels": {"household_features/snapshot", "transactions/events"},
        f"{model}/training_set": {f"{model}/labels", "household_features/snapshot"},
        f"{model}/candidate": {f"{model}/training_set"},
        f"{model}/evaluation": {f"{model}/candidate", f"{model}/labels", "household_features/snapshot"},
        f"{model}/champion": {f"{model}/evaluation"},
        f"{model}/promotions": {f"{model}/champion"},
        f"{model}/predictions": {f"{model}/champion", "household_features/snapshot"},
        f"{model}/performance": {f"{model}/predictions", f"{model}/labels"},
        f"{model}/drift": {f"{model}/predictions", "household_features/snapshot"},
        f"{model}/drift_report": {f"{model}/predictions", f"{model}/drift", "household_features/snapshot"},
        f"{model}/actions": {f"{model}/drift", f"{model}/performance", f"{model}/champion"},
    }
AUTOMATION = {
    "transactions_landing",
    "household_features_refresh",
    "run_failures",
    "tick_failures",
    *(f"models_{kind}" for kind in ("labels", "scoring", "performance", "drift_reports")),
    *(f"{model}_retrain" for model in MODELS),
}
HEAVY = {
    *("evidently", "matplotlib", "mlflow", "optuna", "pandas", "pandera", "scipy", "skops", "sklearn"),
    *("sqlglot", "xgboost"),
}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build()


def test_the_graph(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH
    assert {sensor.name for sensor in defs.sensors or ()} == AUTOMATION
    assert [schedule.name for schedule in defs.schedules or ()] == [
        "lake_weekly_maintenance",
    ]


def test_every_asset_says_what_it_is_and_who_answers_for_it(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert len(node.description) > 40, key
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name == key.path[0]


def test_partitions(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()

    def partitions(name: str) -> dg.PartitionsDefinition | None:
        return graph.get(dg.AssetKey(name.split("/"))).partitions_def

    daily = {name for name in GRAPH if isinstance(partitions(name), dg.DailyPartitionsDefinition)}
    weekly = {name for name in GRAPH if isinstance(partitions(name), dg.WeeklyPartitionsDefinition)}
    assert {name for name in GRAPH if name.startswith(("transactions", "household"))} - {
        "household_features/catalogue"
    } < daily
    assert daily > {"lapse/predictions", "lapse/drift"}
    assert weekly == {
        f"{model}/{asset}"
        for model in MODELS
        for asset in ("labels", "training_set", "candidate", "evaluation", "performance")
    }
    snapshot = graph.get(dg.AssetKey(["household_features", "snapshot"]))
    ((_, mapping),) = [(p, snapshot.partition_mappings[p]) for p in snapshot.parent_keys]
    days = partitions("household_features/snapshot")
    read = mapping.get_upstream_mapped_partitions_result_for_partitions(
        days.subset_with_partition_keys(["2017-01-05"]), days, partitions("household_features/tiles")
    ).partitions_subset
    assert sorted(read.get_partition_keys()) == ["2017-01-01", "2017-01-02", "2017-01-03", "2017-01-04"]


def test_gates_and_contract_rules_block(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    specs = {(key.asset_key.to_user_string(), key.name): graph.get(key) for key in graph.asset_check_keys}
    gates = [node for (asset, _), node in specs.items() if asset == "lapse/evaluation"]
    rules = [node for (asset, _), node in specs.items() if asset == "transactions/events"]
    assert len(gates) == 9
    assert len(rules) > 20
    warning = {node.key.name for node in [*gates, *rules] if not node.blocking}
    assert warning == {"known_departments", "usual_volume"}
    assert not specs["transactions/raw", "files_accepted"].blocking


def test_loading_imports_nothing_heavy() -> None:
    """Each run is a process that pays for what the code location imports."""
    program = "import sys, json, ml_assets.definitions; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert loaded & HEAVY == set()


def test_the_package_itself_imports_nothing_but_the_list_of_known_warnings() -> None:
    tree = ast.parse((CHECKOUT / "ml_assets" / "__init__.py").read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import warnings"]
