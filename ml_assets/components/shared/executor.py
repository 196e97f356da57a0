"""How runs are executed: all steps in one process, which holds the run's lease meanwhile."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode

from ml_assets.instance import lease


class LeasedExecutor(dg.Executor):
    """An executor in the run's own process, with the lease of the run."""

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> RetryMode:
        """Those of the executor."""
        return self._executor.retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the plan."""
        with lease.held(plan_context.instance.run_storage, plan_context.run_id):
            yield from self._executor.execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def leased_in_process(context: dg.InitExecutorContext) -> LeasedExecutor:
    """Dagster's ``in_process``, with the same config."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return LeasedExecutor(create(context))
