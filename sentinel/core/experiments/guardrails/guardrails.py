"""All guardrails of an experiment: counts in, arms to be stopped out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from sentinel.core.experiments.guardrails.checks import (
    GuardrailName,
    gain_of,
    limits_of,
    words_of,
)
from sentinel.core.experiments.guardrails.counts import GuardrailCounts
from sentinel.core.experiments.guardrails.evidence import LimitEvidence
from sentinel.core.experiments.guardrails.params import GuardrailParams


@dataclass(frozen=True, slots=True)
class Trip:
    """An arm that is to be stopped.

    Attributes
    ----------
    period, since_period
        In which it tripped, and in which what tripped it seems to have begun.
    log_e
        log of the evidence by then.
    why
        One sentence for people, of what was counted since it began.
    """

    arm: str
    guardrail: GuardrailName
    period: int
    since_period: int
    log_e: float
    why: str


class Guardrails:
    """The guardrails of the arms of one experiment against its control.

    Parameters
    ----------
    arms
        The names of the challengers.
    """

    def __init__(self, params: GuardrailParams, arms: Sequence[str]) -> None:
        self._log_limit = -math.log(params.alpha)
        self._alpha = params.alpha
        self._slow_burst = params.slow_burst
        self._limits = limits_of(params)
        self._gathered = {arm: dict.fromkeys(self._limits, LimitEvidence.fresh()) for arm in arms}
        self._trips: dict[tuple[str, GuardrailName], Trip] = {}

    @property
    def trips(self) -> list[Trip]:
        """All so far, in the order in which they came: what has tripped once stays so."""
        return list(self._trips.values())

    def log_e(self, arm: str, name: GuardrailName) -> float:
        """log of the evidence against a limit; it trips at log(1 / alpha)."""
        return self._gathered[arm][name].log_e

    def add(
        self,
        period: int,
        shares: Mapping[str, float],
        counts: Mapping[str, GuardrailCounts],
        *,
        control: str,
    ) -> list[Trip]:
        """Counts since the last time; what has tripped now and had not before.

        Parameters
        ----------
        period
            The number, from 0, of a stretch of time, such as a minute: harm may begin with any.
            Its counts may come bit by bit.
        shares
            Of the accounts, by arm, while these were counted; those of an arm without a share say
            nothing of how it compares.
        counts
            By arm, the control among them; an arm without counts may be missing.
        """
        of_control = counts.get(control, GuardrailCounts())
        tripped = []
        for arm, gathered in self._gathered.items():
            of_arm = counts.get(arm, GuardrailCounts())
            odds = shares.get(arm, 0.0) / shares[control] if shares.get(control) else 0.0
            for name, limit in self._limits.items():
                gain = gain_of(name, limit, of_arm, of_control, odds, self._slow_burst)
                if gain is None:
                    continue
                gathered[name] = gathered[name].after(period, gain)
                if (trip := self._judged(arm, name, period)) is not None:
                    tripped.append(trip)
        return tripped

    def _judged(self, arm: str, name: GuardrailName, period: int) -> Trip | None:
        evidence = self._gathered[arm][name]
        log_e = evidence.log_e
        if log_e < self._log_limit or (arm, name) in self._trips:
            return None
        hits, count, expected, since = evidence.run()
        what = words_of(name, self._limits[name], hits, count, expected)
        sure = f"an arm within it is stopped so in at most {self._alpha:.2%} of experiments"
        trip = Trip(arm, name, period, since, log_e, f"{what}; {sure}")
        self._trips[arm, name] = trip
        return trip

    def state(self) -> dict[str, Any]:
        """Plain values, to be stored as JSON and taken up again bit for bit."""
        return {
            "gathered": [
                {
                    "arm": arm,
                    "guardrail": name,
                    "log_begun": evidence.log_begun.tolist(),
                    "runs": evidence.runs.tolist(),
                    "period_count": evidence.period_count,
                }
                for arm, gathered in self._gathered.items()
                for name, evidence in gathered.items()
                if evidence.period_count
            ],
            "trips": [asdict(trip) for trip in self._trips.values()],
        }

    @classmethod
    def of_state(
        cls, params: GuardrailParams, arms: Sequence[str], state: Mapping[str, Any]
    ) -> Self:
        """As they were stored; what was counted for an arm or a guardrail that is none is left out.

        Raises ValueError when the state is of something else.
        """
        found = cls(params, arms)
        try:
            for one in state["gathered"]:
                if one["arm"] in found._gathered and one["guardrail"] in found._limits:
                    found._gathered[one["arm"]][one["guardrail"]] = _evidence_of(one)
            for one in state["trips"]:
                trip = Trip(**one)
                found._trips[trip.arm, trip.guardrail] = trip
        except (KeyError, TypeError) as error:
            raise ValueError("the stored state is not that of guardrails") from error
        return found


def _evidence_of(stored: Mapping[str, Any]) -> LimitEvidence:
    fresh = LimitEvidence.fresh()
    log_begun = np.array(stored["log_begun"], dtype=np.float64)
    runs = np.array(stored["runs"], dtype=np.float64)
    if log_begun.shape != fresh.log_begun.shape or runs.shape != fresh.runs.shape:
        raise ValueError("the stored evidence of a guardrail has another shape")
    return LimitEvidence(log_begun, runs, int(stored["period_count"]))
