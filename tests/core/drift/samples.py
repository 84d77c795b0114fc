"""Small streams for tests of drift: rows that are drawn, counted in steps."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from sentinel.core.drift.columns import CELL_COUNT, Column, numeric_column, values_column
from sentinel.core.drift.counting import GroupCounts
from sentinel.core.drift.noting import Binning, noted, steps_of
from sentinel.core.drift.reference import Reference, reference_of, without_rows
from sentinel.core.drift.steps import Arm, ArmCounts, Step
from sentinel.core.features.hashing import hash64
from sentinel.records import Floats, Ints
