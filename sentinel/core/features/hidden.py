"""Columns that are read beside the declared ones, of the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sentinel.core.features.spec import IN_HOUR, STATS, EntityParams, FeatureParams


@dataclass(frozen=True, slots=True)
class HiddenParams(FeatureParams):
    """A column that no configuration can declare."""

    def _known_stats(self) -> frozenset[str]:
        return STATS | {IN_HOUR}


# How many rows the account has had in the hour, so that one cannot outvote all others.
_IN_HOUR = HiddenParams("account's rows in the hour", stat=IN_HOUR, entity="account", empty=0.0)
# Mean and spread of its kept amounts, so that a reason can say what is usual for it.
_USUAL = (
    FeatureParams("account's usual amount", stat="mean", entity="account", window="5200w"),
    FeatureParams("spread of the account's amounts", stat="std", entity="account", window="5200w"),
)
HIDDEN = (_IN_HOUR, *_USUAL)


def read_features(
    entities: Mapping[str, EntityParams], features: Sequence[FeatureParams]
) -> tuple[FeatureParams, ...]:
    """The declared features, behind them those of HIDDEN that the account's state can say."""
    if entities["account"].kind == "events":
        return (*features, *HIDDEN)
    has_account = any(feature.entity == "account" for feature in features)
    return (*features, *HIDDEN[:has_account])
