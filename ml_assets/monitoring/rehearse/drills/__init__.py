"""Incidents to rehearse: what they do to a day's file, and what the project is expected to do about them."""

from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS, Incident
from ml_assets.monitoring.rehearse.drills.reaction import Fact, Reaction, Verdict, judge
from ml_assets.monitoring.rehearse.drills.roles import Roles, RolesError, landing_columns
from ml_assets.monitoring.rehearse.drills.rows import Rows

__all__ = [
    "INCIDENTS",
    "Fact",
    "Incident",
    "Reaction",
    "Roles",
    "RolesError",
    "Rows",
    "Verdict",
    "judge",
    "landing_columns",
]
