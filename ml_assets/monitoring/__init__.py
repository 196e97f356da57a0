"""Monitoring: drift against the training profile, and performance once labels have matured."""

from ml_assets.monitoring.drift import (
    DayVerdict,
    FeatureDrift,
    judge_day,
    measure,
)
from ml_assets.monitoring.policy import MonitoringPolicy
from ml_assets.monitoring.profile import (
    FeatureProfile,
    ProfileError,
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
    "judge_day",
    "measure",
    "profile_rows",
    "profiles_from_rows",
]
