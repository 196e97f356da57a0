"""Monitoring: drift against the training profile, and performance once labels have matured."""

from ml_assets.monitoring.measure.counting import ProfileError
from ml_assets.monitoring.measure.drift import DayVerdict, FeatureDrift, drifting, judge_day, measure
from ml_assets.monitoring.measure.profile import (
    FeatureProfile,
    build_profile,
    profile_rows,
    profiles_from_rows,
)
from ml_assets.monitoring.spec import MonitoringPolicy

__all__ = [
    "DayVerdict",
    "FeatureDrift",
    "FeatureProfile",
    "MonitoringPolicy",
    "ProfileError",
    "build_profile",
    "drifting",
    "judge_day",
    "measure",
    "profile_rows",
    "profiles_from_rows",
]
