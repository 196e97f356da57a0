"""Incidents to rehearse: what they do to a day's file, and what the project is expected to do about them."""

from ml_assets.drills.incidents import INCIDENTS, Incident
from ml_assets.drills.reaction import Fact, Reaction, Verdict, judge
from ml_assets.drills.roles import Roles, RolesError, landing_columns
from ml_assets.drills.rows import Rows

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
