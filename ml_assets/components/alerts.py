"""Failed runs are told: to a webhook if one is set, to a log file otherwise."""

import json
import os
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import dagster as dg

from ml_assets.home import data

WEBHOOK = "ML_ASSETS_WEBHOOK"


def alerts_file() -> Path:
    """The log file: one JSON object a line."""
    return data() / "alerts.jsonl"


def report(alert: dict[str, object]) -> str:
    """Post an alert to the webhook named by ML_ASSETS_WEBHOOK, or append it to the log file; say where it went.

    An alert the webhook doesn't take is appended too, with the reason, so that none is lost.
    """
    url = os.environ.get(WEBHOOK)
    if url:
        body = json.dumps(alert, default=str).encode()
        try:
            request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as response:
                return f"webhook, status {response.status}"
        except (OSError, ValueError, HTTPException) as error:
            alert = alert | {"webhook_error": f"{type(error).__name__}: {error}"}
    path = alerts_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lines:
        lines.write(json.dumps(alert, default=str) + "\n")
    return str(path)


def failure_alert(run: dg.DagsterRun, message: str, at: datetime) -> dict[str, object]:
    """What is told of a failed run: which, of what, why, and what to do next."""
    selected = sorted(key.to_user_string() for key in run.asset_selection or ())
    return {
        "at": at.isoformat(),
        "run": run.run_id,
        "job": run.job_name,
        "assets": selected,
        "partitions": {k.rsplit("/", 1)[1]: v for k, v in run.tags.items() if "partition" in k},
        "reasons": {k: v for k, v in run.tags.items() if k.startswith("ml_assets/")},
        "message": message,
        "next": f"open /runs/{run.run_id} in the UI; re-execute it from there once the cause is mended",
    }


@dg.run_failure_sensor(
    name="run_failures",
    description=f"Tells of failed runs: by POST to ${WEBHOOK} if it is set, in data/alerts.jsonl otherwise.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    """Report one failed run, with the messages of its failed steps."""
    steps = [
        e.step_failure_data.error for e in context.get_step_failure_events() if e.step_failure_data.error
    ]
    causes = [error.cause or error for error in steps]
    message = (
        "; ".join(cause.message.strip() for cause in causes) or context.failure_event.message or "no message"
    )
    where = report(failure_alert(context.dagster_run, message, datetime.now(tz=UTC)))
    context.log.info(f"told of run {context.dagster_run.run_id}: {where}")
