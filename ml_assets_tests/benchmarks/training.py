"""Training a candidate of 1M rows x 50 features: the whole asset over bare ``xgboost.train`` on the same matrix.

The asset reads the stored training set, checks it, fits, measures importance, stores the training profile and the
baseline, and registers the version in MLflow. The bare side is given the matrix in memory, and makes its DMatrix and
fits, with the same parameters. Both sides are processes of their own, and time themselves once they have imported what
they need.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from ml_assets.instance.home import prepare_dagster_home
from ml_assets_tests.benchmarks.measure import measure
from ml_assets_tests.markdown import table

ENTITIES, AS_OFS, FEATURES, ROUNDS = 91_000, 11, 50, 200
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: readings
name: readings
version: 1.0.0
status: active
schema:
  - name: readings
    physicalType: table
    properties:
      - {name: device_id, logicalType: integer, physicalType: BIGINT, required: true}
      - {name: occurred_at, logicalType: timestamp, required: true}
"""
MODEL = f"""
type: ml_assets.components.Model
attributes:
  description: Whether a device fails
  features: device_features
  population: "true"
  label: {{occurs: "c0 > 0", within: 7d}}
  cutoffs: {{every: week, start: 2020-01-05}}
  baseline: f0_7d
  train: {{history: 12 cutoffs, parameters: {{rounds: {ROUNDS}, early_stopping: {ROUNDS}}}}}
"""
OURS = """
import sys, time, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.operations.in_process import QUIET
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.instance import home
Registry.below(home.data()).prepare()
import matplotlib.backends.backend_agg, mlflow.pyfunc, pandera.pandas, xgboost
with dg.DagsterInstance.get() as instance:
    started = time.perf_counter()
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(["fails", "candidate"])], run_config=QUIET,
        partition_key="2020-04-19", raise_on_error=True)
    print("took", time.perf_counter() - started, flush=True)
    for event in result.asset_materializations_for_node("fails__candidate"):
        print("fit", event.metadata["fit_seconds"].value, flush=True)
import os; os._exit(0)
"""
BARE = """
import json, os, sys, time
import numpy as np
import xgboost as xgb
matrix = {name: np.load(f"{sys.argv[1]}/{name}.npy") for name in ("train", "tune", "train_label", "tune_label")}
parameters = json.loads(sys.argv[2])
rounds = parameters.pop("rounds")
started = time.perf_counter()
train, tune = (xgb.DMatrix(matrix[s], label=matrix[f"{s}_label"]) for s in ("train", "tune"))
fitted = time.perf_counter()
xgb.train(parameters, train, num_boost_round=rounds, evals=[(train, "train"), (tune, "tune")],
          early_stopping_rounds=rounds, verbose_eval=False)
print("took", time.perf_counter() - started, flush=True)
print("fit", time.perf_counter() - fitted, flush=True)
os._exit(0)
"""


def declare(folder: Path) -> None:
    """The definitions: a source, a group of 50 features and a model."""
    names = [f"c{n}" for n in range(FEATURES // 2)]
    columns = "".join(
        f"      - {{name: {name}, logicalType: number, physicalType: 'DECIMAL(18,4)'}}\n" for name in names
    )
    features = "".join(
        f"    - {{name: f{n}, sum: {name}, windows: [7d, 28d], means: Sum of {name}}}\n"
        for n, name in enumerate(names)
    )
    texts = {
        "readings/contract.yaml": CONTRACT + columns,
        "readings/defs.yaml": "type: ml_assets.components.EventSource\nattributes: {contract: contract.yaml, "
        "landing: {path: landing}, start: 2020-01-01}\n",
        "device_features/defs.yaml": "type: ml_assets.components.FeatureGroup\nattributes:\n  source: readings\n"
        f"  entity: device_id\n  features:\n{features}",
        "fails/defs.yaml": MODEL,
    }
    (folder / "training_bench").mkdir()
    (folder / "training_bench" / "__init__.py").touch()
    for name, text in texts.items():
        path = folder / "training_bench" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def write_rows(root: Path) -> None:
    """The training set of one cutoff: in the lake, and as the bare matrix."""
    import numpy as np

    from ml_assets.lake import Lake, Provenance, connect

    columns = [f"f{n}_{window}" for n in range(FEATURES // 2) for window in ("7d", "28d")]
    values = ", ".join(
        f"hash(e, d, {n}) / 18446744073709551616.0 AS {name}" for n, name in enumerate(columns)
    )
    signal = " + ".join(columns[:10])
    with connect() as con:
        con.execute(
            f"CREATE TABLE rows AS SELECT DATE '2020-04-19' AS cutoff, e AS device_id, DATE '2020-01-05' + d::INTEGER * 7 "
            f"AS as_of, (({signal}) / 10 + hash(e, d, 'noise') / 18446744073709551616.0 > 1.1)::INTEGER AS label, "
            f"CASE WHEN d = {AS_OFS - 1} THEN 'tune' ELSE 'train' END AS split, {', '.join(columns)} FROM ("
            f"SELECT e, d, {values} FROM range({ENTITIES}) es(e), range({AS_OFS}) ds(d)) ORDER BY as_of, device_id"
        )
        from datetime import date

        at = date(2020, 4, 19)
        table = Lake(str(root / "data" / "lake")).table("fails/training_set", "cutoff")
        table.replace(con.table("rows"), between=(at, at), provenance=Provenance())
        for split in ("train", "tune"):
            found = (
                con.sql(f"FROM rows WHERE split = '{split}'")
                .select(", ".join([*columns, "label"]))
                .fetchnumpy()
            )
            matrix = np.column_stack([found[c] for c in columns]).astype("float32")
            np.save(root / f"{split}.npy", matrix)
            np.save(root / f"{split}_label.npy", found["label"])


def parameters() -> dict[str, object]:
    """The parameters that the project gives to ``xgboost.train``."""
    from ml_assets.training.estimators import Task
    from ml_assets.training.estimators.boosted_trees import XGBoost, XGBoostParameters
    from ml_assets.training.target import BINARY

    given = XGBoost(Task(BINARY, {}), XGBoostParameters()).xgboost_parameters
    return {**{k: v for k, v in given.items() if k != "monotone_constraints"}, "rounds": ROUNDS}


def main() -> None:
    """Make the rows once, then run both sides and print."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        declare(root)
        write_rows(root)
        environment = {
            **os.environ,
            "ML_ASSETS_HOME": name,
            "DAGSTER_HOME": str(root / ".dagster"),
            "ML_ASSETS_DEFS": "training_bench",
            "PYTHONPATH": os.pathsep.join([name, os.environ.get("PYTHONPATH", "")]),
        }
        prepare_dagster_home(root)
        sides = {
            "the asset, from table to registered version": [OURS, name],
            "xgboost.train on the matrix in memory": [BARE, name, json.dumps(parameters())],
        }
        took, rows = {}, []
        for title, (program, *arguments) in sides.items():
            said = root / "said"
            shell = ["sh", "-c", f'exec "$@" > {said}', "sh", sys.executable, "-c", program, *arguments]
            found = measure(shell, environment)
            times = dict(
                line.split(" ", 1) for line in said.read_text().splitlines() if line[:4] in ("took", "fit ")
            )
            took[title] = float(times["took"])
            rows.append(
                (title, f"{took[title]:.2f}", f"{float(times['fit']):.2f}", f"{found.megabytes:,.0f}")
            )
        ours, bare = took.values()
        print(f"A candidate of {ENTITIES * AS_OFS:,} rows x {FEATURES} features, {ROUNDS} rounds.\n")
        print(table(("Side", "Seconds", "of it the fit", "Peak MB"), rows))
        print(f"\nRatio {ours / bare:.2f} (budget 1.30).")


if __name__ == "__main__":
    main()
