"""The guardrails of running experiments, fed with what instances and labels tell."""

import logging
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.experiments.definition import shares_of
from sentinel.core.experiments.guardrails.checks import limits_of
from sentinel.core.experiments.guardrails.counts import (
    GuardrailCounts,
    SeenAccounts,
    loss_classes,
)
from sentinel.core.experiments.guardrails.guardrails import Guardrails, Trip
from sentinel.core.experiments.guardrails.params import GuardrailParams
from sentinel.core.features.hashing import hash64
from sentinel.errors import RecordError
from sentinel.records import Example
from sentinel.stored.experiments import Definition
from sentinel.stored.outcomes import ArmPart

log = logging.getLogger(__name__)

_SEEN = ("alerted", "blocked", "lost")


@dataclass(frozen=True, slots=True)
class _Kept:
    """How the guardrails of an experiment stand, as it is stored."""

    guards: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, list[int]] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)


class Guard:
    """The guardrails of one experiment."""

    def __init__(self, definition: Definition, params: GuardrailParams, kept: bytes | None) -> None:
        self.definition = definition
        self._params = params
        self._arms = [arm.name for arm in definition.challengers]
        self._guards = Guardrails(params, self._arms)
        self._seen = {name: SeenAccounts(params.accounts_max) for name in _SEEN}
        self._batches: Counter[str] = Counter()  # by arm, their parts of batches
        self.is_changed = False
        if kept is not None:
            self._restore(kept)

    def _restore(self, kept: bytes) -> None:
        try:
            found = decode_stored(_Kept, zlib.decompress(kept))
            self._guards = Guardrails.of_state(self._params, self._arms, found.guards)
        except (RecordError, ValueError, zlib.error) as error:
            log.warning("guardrails of %s begin anew: %s", self.definition.id, error)
            return
        self._batches = Counter(found.batches)
        for name, hashes in found.seen.items():
            if name in self._seen:
                self._seen[name] = SeenAccounts(self._params.accounts_max, hashes)

    def packed(self) -> bytes:
        """How it stands, to be stored."""
        seen = {name: accounts.state() for name, accounts in self._seen.items()}
        self.is_changed = False
        return zlib.compress(
            encode_stored(_Kept(self._guards.state(), seen, dict(self._batches))), 1
        )

    def standing(self) -> list[tuple[str, str, float, float]]:
        """Of each guardrail: the arm, its name, the limit, and log of the evidence against it."""
        return [
            (arm, name, limit, self._guards.log_e(arm, name))
            for arm in self._arms
            for name, limit in limits_of(self._params).items()
        ]

    @property
    def batch_count(self) -> int:
        """Parts of batches that were counted of the challenger that has the fewest."""
        return min(self._batches[arm] for arm in self._arms)

    def take(self, period: int, parts: Sequence[ArmPart]) -> list[Trip]:
        """What arms have decided; what trips by it."""
        counts: dict[int, dict[str, GuardrailCounts]] = defaultdict(dict)
        for part in parts:
            self._batches[part.arm] += part.batches
            counts[part.step][part.arm] = GuardrailCounts(
                alerted=self._new("alerted", part.alerted),
                blocked=self._new("blocked", part.blocked),
                batches=part.batches,
                failed=part.failed,
                slow=part.slow,
            )
        return [trip for step in sorted(counts) for trip in self._add(period, step, counts[step])]

    def lose(self, period: int, frauds: Sequence[Example]) -> list[Trip]:
        """Frauds that were let through and have become known; what trips by it."""
        found: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for one in frauds:
            place = _place(one, self.definition.id)
            if place is None or not self._new("lost", hash64([one.account]).tolist()):
                continue
            found[place[0]][place[1]].append(abs(one.amount_minor))
        tripped = []
        for step, arms in sorted(found.items()):
            typical = self._params.loss_typical_minor
            counts = {
                arm: GuardrailCounts(lost=loss_classes(np.array(amounts), typical))
                for arm, amounts in arms.items()
            }
            tripped += self._add(period, step, counts)
        return tripped

    def _new(self, what: str, hashes: Sequence[int]) -> int:
        return int(self._seen[what].are_new(np.array(hashes, dtype=np.int64)).sum())

    def _add(self, period: int, step: int, counts: Mapping[str, GuardrailCounts]) -> list[Trip]:
        self.is_changed = True
        if step >= self.definition.step_count:
            return []
        names = [arm.name for arm in self.definition.arms]
        shares = dict(zip(names, shares_of(self.definition, step), strict=True))
        return self._guards.add(period, shares, counts, control=self.definition.control.name)


def _place(example: Example, experiment: str) -> tuple[int, str] | None:
    """At which step, and in which arm of an experiment, it was decided; None if it was not."""
    tags, arms = example.experiment.split("+"), example.arm.split("+")
    for tag, arm in zip(tags, arms, strict=False):
        name, _, step = tag.rpartition(".")
        if name == experiment and step.isdigit():
            return int(step), arm
    return None
