"""The checks of a model: frames hold, gates passed, the champion can be used, predictions whole."""

from collections.abc import Iterator

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.partitions import between_of_run
from ml_assets.components.shared.resources import LakeResource, MlflowResource, connection
from ml_assets.evaluation.gates.every import GATES
from ml_assets.lake import confined, seal
from ml_assets.pipeline.definitions import made_otherwise, of_training
from ml_assets.project.model import DeclaredModel

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
CHAMPION_USABLE = "champion_usable"


def checks(model: DeclaredModel) -> list[dg.AssetChecksDefinition]:
    """All checks of a model."""
    return [_frame_check(model), _gate_checks(model), _champion_check(model), _prediction_check(model)]


def _frame_check(model: DeclaredModel) -> dg.AssetChecksDefinition:
    key = key_of(model, "training_set")

    @dg.asset_check(
        asset=key,
        name="frame_holds",
        blocking=True,
        description="The training set has its columns and types, one row per entity and as_of, and labels that the "
        "target allows (pandera). Rows with a number that no estimator can take are left out, and named.",
    )
    def frame_holds(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.AssetCheckResult:
        from ml_assets.training.frames import FrameError, check_frame, usable_rows

        table = model.tables(lake.lake).training_set
        asked = between_of_run(context.run.tags)
        wrong, left_out, rows = {}, list[str](), 0
        with connection(duckdb) as con:
            found = table.read(con, columns=["cutoff"], between=asked).distinct().order("cutoff").fetchall()
            history = made_otherwise(table.marks(), of_training(model), [cutoff for (cutoff,) in found])
            cutoffs = [cutoff for (cutoff,) in found if cutoff not in history]
            for cutoff in cutoffs:
                frame = table.read(con, between=(cutoff, cutoff)).df()
                rows += len(frame)
                usable, told = usable_rows(frame, model.group.feature_types, entity=model.row_key)
                left_out += told
                try:
                    check_frame(
                        usable,
                        model.group.feature_types,
                        entity=model.row_key,
                        target=model.spec.label.target,
                    )
                except FrameError as error:
                    wrong[str(cutoff)] = str(error)
        return dg.AssetCheckResult(
            passed=not wrong,
            severity=ERROR,
            metadata={
                "rows": rows,
                "cutoffs": len(cutoffs),
                "failing": dg.MetadataValue.json(wrong),
                "rows that are left out": dg.MetadataValue.json(left_out),
                "cutoffs of another declaration, which are history": len(history),
            },
        )

    return frame_holds


def _gate_checks(model: DeclaredModel) -> dg.AssetChecksDefinition:
    key = key_of(model, "evaluation")

    @dg.multi_asset_check(
        name=f"{model.name}__gates",
        specs=[
            dg.AssetCheckSpec(gate.name, asset=key, blocking=True, description=gate.description)
            for gate in GATES
        ],
        can_subset=True,
    )
    def gates(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        table = model.tables(lake.lake).decisions
        asked = between_of_run(context.run.tags)
        with connection(duckdb) as con:
            rows = table.read(con, between=asked).order("cutoff").to_arrow_table().to_pylist()
        newest = max((row["cutoff"] for row in rows), default=None)
        for selected in context.selected_asset_check_keys:
            history = {str(r["cutoff"]): r["status"] for r in rows if r["gate"] == selected.name}
            found = [r for r in rows if r["gate"] == selected.name and r["cutoff"] == newest]
            if not found:
                older = f" of {newest}, whose record is older than the gate" if newest else ""
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=selected.name,
                    passed=False,
                    severity=WARN if newest else ERROR,
                    description=f"There is no decision record with this gate: materialize the evaluation{older}.",
                )
                continue
            (row,) = found
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=selected.name,
                passed=row["status"] == "PASS",
                severity=WARN if row["status"] == "WARN" else ERROR,
                description=f"cutoff {newest}, version {row['model_version']}: {row['reason']}",
                metadata={
                    "status": row["status"],
                    "observed": row["observed"],
                    "required": row["required"],
                    "cutoffs": len(history),
                    "cutoffs passed": sum(status == "PASS" for status in history.values()),
                    "by cutoff": dg.MetadataValue.json(history),
                },
            )

    return gates


def _champion_check(model: DeclaredModel) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key_of(model, "champion"),
        name=CHAMPION_USABLE,
        blocking=True,
        description="The registry has the version that the promotion log names, and its files have the SHA-256 that they "
        "were registered with.",
    )
    def champion_usable(
        lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.AssetCheckResult:
        from ml_assets.registry.in_use import trouble
        from ml_assets.registry.promotion_log import read_log

        with connection(duckdb) as con:
            log = read_log(con, model.tables(lake.lake).promotions, model.name)
        wrong = trouble(mlflow.registry, log)
        used = f"version {log.champion} is in use" if log.champion else "there is no champion yet"
        return dg.AssetCheckResult(passed=wrong is None, severity=ERROR, description=wrong or used)

    return champion_usable


def _prediction_check(model: DeclaredModel) -> dg.AssetChecksDefinition:
    key, target = key_of(model, "predictions"), model.spec.label.target
    top = len(target.classes) - 1
    promised = f"between 0 and {top}" if target.is_classes else "a finite number"
    wrong = f"OR score < 0 OR score > {top}" if target.is_classes else "OR isinf(score)"

    @dg.asset_check(
        asset=key,
        name="every_member_scored",
        blocking=True,
        description=f"Every member of the population has one score of the champion at each as_of that it scored, "
        f"{promised}. What an earlier champion said is history, and so is who was scored when the population was declared "
        "otherwise. Members with a number beyond 32 bits have none, and are told where predictions are made.",
    )
    def every_member_scored(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.AssetCheckResult:
        from ml_assets.pipeline.steps.predictions import scored_populations
        from ml_assets.registry.promotion_log import champion_on_record
        from ml_assets.training.frames import is_usable

        predictions, snapshot = model.tables(lake.lake).predictions, model.group.snapshot(lake.lake)
        asked = between_of_run(context.run.tags)
        with connection(duckdb) as con:
            champion = champion_on_record(con, model.tables(lake.lake).promotions, model.name)
        version = champion.version if champion else -1
        with confined() as apart:
            predictions.read(apart, between=asked).create_view("checked_predictions")
            span = apart.sql("SELECT min(as_of), max(as_of) FROM checked_predictions").fetchall()[0]
            within = asked or (span if span[0] else None)
            snapshot.read(apart, between=within).create_view("checked_population")
            seal(apart)
            rows = apart.sql(
                f"WITH wanted AS (SELECT as_of, count(*) AS n FROM checked_population WHERE ({model.spec.population}) "
                f"AND {is_usable(model.group.feature_types)} GROUP BY as_of), "
                "scored AS (SELECT as_of, model_version, count(*) AS n, "
                f"count(DISTINCT ({model.entity})) AS entities, count(*) FILTER (WHERE score IS NULL OR isnan(score) "
                f"{wrong}) AS wrong FROM checked_predictions GROUP BY ALL) "
                "SELECT wanted.as_of, wanted.n, scored.n, entities, wrong FROM wanted JOIN scored USING (as_of) "
                f"WHERE (scored.n <> wanted.n AND model_version = {version}) OR entities <> scored.n OR wrong > 0 "
                "ORDER BY 1"
            ).fetchall()
            populations = scored_populations(predictions, version) if rows else {}
            otherwise = {
                day for day, said in populations.items() if said not in (None, model.population_definition)
            }
            rows = [r for r in rows if r[2] != r[3] or r[4] or r[0] not in otherwise]
            ((total,),) = apart.sql("SELECT count(*) FROM checked_predictions").fetchall()
        failing = {
            str(r[0]): f"{r[1]} members, {r[2]} scores, {r[3]} scored, {r[4]} wrong" for r in rows[:20]
        }
        return dg.AssetCheckResult(
            passed=not failing,
            severity=ERROR,
            metadata={"predictions": total, "failing": dg.MetadataValue.json(failing)},
        )

    return every_member_scored
