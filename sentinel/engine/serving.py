"""The model that serves, with what turns its raw score into a decision."""

from dataclasses import dataclass

from sentinel.core.decision import Usual
from sentinel.core.learning.calibration import Calibration
from sentinel.model import Model


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A model version, ready: its calibration and what was usual in its training data."""

    version: str
    model: Model
    calibration: Calibration
    usual: Usual
