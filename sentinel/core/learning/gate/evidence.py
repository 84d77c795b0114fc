"""What a challenger is judged on: examples that both it and the champion have scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sentinel.core.decision import Codes
from sentinel.records import Floats, Ints

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PairedScores:
    """n mature examples that neither model was trained on, with the scores of both.

    Attributes
    ----------
    champion, challenger
        float64 (n,): any finite score that rises with suspicion; only its order counts.
    labels
        int64 (n,): 1 fraud, 0 genuine.
    weights
        float64 (n,), > 0: for how many transactions each stands, 1 / propensity.
    groups
        int64 (n,), >= 0: numbers of what depends on each other, as of the account. Small ones,
        as of `numpy.unique`: arrays of the largest number are made.
    days
        int64 (n,): the day on which it was decided.
    amounts_minor
        int64 (n,): in minor units.
    """

    champion: Floats
    challenger: Floats
    labels: Ints
    weights: Floats
    groups: Ints
    days: Ints
    amounts_minor: Ints

    def __post_init__(self) -> None:
        for column in (self.challenger, self.labels, self.weights, self.groups, self.days):
            assert column.shape == self.champion.shape
        assert self.amounts_minor.shape == self.champion.shape
        assert np.all(np.isfinite(self.champion) & np.isfinite(self.challenger))
        assert np.all((self.labels == 0) | (self.labels == 1))
        assert np.all((self.weights > 0) & np.isfinite(self.weights))
        assert np.all(self.groups >= 0)

    def __len__(self) -> int:
        return self.champion.size

    @property
    def fraud_group_count(self) -> int:
        """In how many groups there is fraud: no more than that is independent of each other."""
        return int(np.unique(self.groups[self.labels == 1]).size)

    def where(self, mask: Bools) -> Self:
        """The examples for which the mask holds."""
        return type(self)(
            self.champion[mask],
            self.challenger[mask],
            self.labels[mask],
            self.weights[mask],
            self.groups[mask],
            self.days[mask],
            self.amounts_minor[mask],
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the gate looks at.

    Attributes
    ----------
    recent
        The newest mature examples, n of them; columns below are of the same.
    challenger_probability
        float64 (n,): the challenger's calibrated probability of fraud.
    champion_actions, challenger_actions
        int64 (n,): what each would decide.
    is_flagged
        bool (n,): reviewed or blocked when it was decided.
    is_selective
        bool (n,): blocked, and labelled all the same; how likely that was is not known.
    is_explored
        bool (n,): would have been blocked, and was reviewed by chance; its weight says so.
    segments
        int64 (n,): codes from 0 on.
    segment_names
        One for each code.
    old
        Older examples, without selective ones; None when there are none.
    latency_ratio
        What scoring takes the challenger, divided by what it takes the champion.
    """

    recent: PairedScores
    challenger_probability: Floats
    champion_actions: Codes
    challenger_actions: Codes
    is_flagged: Bools
    is_selective: Bools
    is_explored: Bools
    segments: Ints
    segment_names: Sequence[str]
    old: PairedScores | None
    latency_ratio: float

    def __post_init__(self) -> None:
        shape = self.recent.champion.shape
        for column in (self.champion_actions, self.challenger_actions, self.segments):
            assert column.shape == shape
        for flags in (self.is_flagged, self.is_selective, self.is_explored):
            assert flags.shape == shape
            assert flags.dtype == np.bool_
        assert self.challenger_probability.shape == shape
        assert np.all((self.challenger_probability >= 0) & (self.challenger_probability <= 1))
        assert np.all((self.segments >= 0) & (self.segments < len(self.segment_names)))
        assert not np.any(self.is_selective & self.is_explored), (
            "it has a propensity, or it has not"
        )
        assert np.isfinite(self.latency_ratio)
        assert self.latency_ratio > 0

    def where(self, mask: Bools) -> Self:
        """The recent examples for which the mask holds; the rest as it is."""
        return type(self)(
            self.recent.where(mask),
            self.challenger_probability[mask],
            self.champion_actions[mask],
            self.challenger_actions[mask],
            self.is_flagged[mask],
            self.is_selective[mask],
            self.is_explored[mask],
            self.segments[mask],
            self.segment_names,
            self.old,
            self.latency_ratio,
        )
