"""The command ``drill``: an incident on a scratch copy of the project."""

import argparse
import shutil
import textwrap
from datetime import date
from pathlib import Path

from ml_assets.instance.refusal import Refusal


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``drill``."""
    text = (
        "Rehearse an incident on a scratch copy of the project: land its days, let the sensors react, and compare with "
        "what they should do; exit 1 if they don't. Without a name: list the incidents."
    )
    drill = commands.add_parser("drill", help=text, description=text)
    drill.set_defaults(run=drill_command)
    drill.add_argument("incident", nargs="?", help="its name")
    drill.add_argument(
        "--on",
        type=date.fromisoformat,
        help="its first day, YYYY-MM-DD (default: two label horizons before the last landed day)",
    )
    drill.add_argument("--source", help="the source whose files change (default: that of the model's label)")
    drill.add_argument("--model", help="the model that is watched (default: the first)")
    drill.add_argument(
        "--into", type=Path, metavar="FOLDER", help="where the scratch project is (default: data/drills/NAME)"
    )


def drill_command(options: argparse.Namespace) -> int:
    """Run a drill, or list the incidents."""
    from ml_assets.monitoring.rehearse.drills import INCIDENTS

    if options.incident is None:
        for incident in INCIDENTS.values():
            needs = f" Needs: {', '.join(incident.needs)}." if incident.needs else ""
            print(f"{incident.name:<18}{incident.means}{needs}")
            print(f"{'':<18}expected: {'; or '.join(map(str, incident.expected))}")
        return 0
    if options.incident not in INCIDENTS:
        raise Refusal(f"there is no incident {options.incident}; there are {', '.join(INCIDENTS)}")
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from ml_assets.cli.app import project
    from ml_assets.instance import home
    from ml_assets.landing import NoLandingFiles
    from ml_assets.monitoring.rehearse.drills import INCIDENTS, RolesError
    from ml_assets.operations.drill import Drill, set_up
    from ml_assets.operations.fast_forward import quieten
    from ml_assets.operations.scratch import alone, base_of, copy_of

    def tell(line: str) -> None:
        width = shutil.get_terminal_size((120, 24)).columns
        print(textwrap.fill(line, width, subsequent_indent=" " * 12), flush=True)

    quieten()
    incident, drills = INCIDENTS[options.incident], home.data() / "drills"
    try:
        stage = set_up(project(), incident, source=options.source, model=options.model, start=options.on)
        with alone(drills):
            base = base_of(stage.project, stage.start, drills, tell)
            scratch = copy_of(base, (options.into or drills / incident.name).resolve())
        tell(f"{incident.name}: {incident.means} In {scratch.root}.")
        verdict = Drill(incident, stage, scratch, tell).run()
    except (RolesError, NoLandingFiles) as error:
        raise Refusal(str(error)) from error
    tell(f"expected  {verdict.expected}")
    tell(f"observed  {verdict.observed}")
    tell("as expected" if verdict.as_expected else f"not as expected: {verdict.why}")
    return 0 if verdict.as_expected else 1
