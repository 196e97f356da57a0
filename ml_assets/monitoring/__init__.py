"""Monitoring: drift against the training profile, and performance once labels have matured."""

from ml_assets.monitoring.counting import ProfileError
from ml_assets.monitoring.drift import (
    DayVerdict,
    FeatureDrift,
    drifting,
    judge_day,
    measure,
)
from ml_assets.monitoring.policy import MonitoringPolicy
from ml_assets.monitoring.profile import (
    FeatureProfile,
    build_profile,
    profile_rows,
    profiles_from_rows,
)

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
