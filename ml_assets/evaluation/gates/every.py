"""The gates. A new one is a class in a file of its own and a line here."""

from ml_assets.evaluation.gates.believable import IsBelievable
from ml_assets.evaluation.gates.calibrated import IsCalibrated
from ml_assets.evaluation.gates.compared import BeatsBaseline, NotWorseThanChampion
from ml_assets.evaluation.gates.gate import Gate
from ml_assets.evaluation.gates.honest import HoldoutIsHonest
from ml_assets.evaluation.gates.served import IsFastAndSmall, ReloadsAndPredicts
from ml_assets.evaluation.gates.slices_hold import SlicesHold
from ml_assets.evaluation.gates.treated_alike import TreatsGroupsAlike

GATES: tuple[Gate, ...] = (
    HoldoutIsHonest(),
    BeatsBaseline(),
    NotWorseThanChampion(),
    IsBelievable(),
    SlicesHold(),
    IsCalibrated(),
    TreatsGroupsAlike(),
    IsFastAndSmall(),
    ReloadsAndPredicts(),
)
"""In the order they are judged and shown."""
