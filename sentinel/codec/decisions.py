"""Decisions as JSON, a whole batch at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from sentinel.codec.kernels.emit import ENTITIES, Fragments, decision_texts
from sentinel.core.decision import ACTIONS, SEVERITIES, Codes
from sentinel.records import Floats, Ints, Transactions
from sentinel.texts import Texts

VERSION = 1


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided for each row of a batch; all (n,), features (n, n_features).

    `arm` is the number of the arm that decided the row, in `Stamp.arms`. `explored` has the rows
    that would be blocked and could have been reviewed instead: whether this one is. `shadow` has
    the rows that the shadow scored, too: its score. `rules` has the rows that a rule has decided:
    its name. Without a score, score and probability are NaN, in the decision null.
    """

    score: Floats
    probability: Floats
    action: Codes
    severity: Codes
    arm: Codes
    features: Floats
    explored: Mapping[int, bool] = field(default_factory=dict)
    shadow: Mapping[int, float] = field(default_factory=dict)
    rules: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArmStamp:
    """What the decisions of one arm have in common.

    Attributes
    ----------
    propensity
        How likely a row was to be decided by this arm, in (0, 1].
    experiment
        Of which it is an arm; empty, and not in the decision, outside of all experiments.
    """

    name: str
    model_version: str
    recommended: tuple[tuple[str, ...], ...]  # by severity
    explore_share: float = 0.0
    propensity: float = 1.0
    experiment: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all decisions of a batch have in common, and what those of each arm have.

    `currency` is that of all amounts; empty, and not in the decision, where nobody said it.
    """

    topic: str
    schema_version: str
    config_version: str
    arms: tuple[ArmStamp, ...]
    shadow_version: str = ""  # of the model behind `Verdicts.shadow`
    currency: str = ""

    def tail(self, arm: ArmStamp, rule_hits: Sequence[str] = ()) -> bytes:
        """The JSON behind the features, from the bracket to the closing brace."""
        common = {
            "model_version": arm.model_version,
            "arm": arm.name,
            "propensity": arm.propensity,
            **({"experiment": arm.experiment} if arm.experiment else {}),
            "rule_hits": list(rule_hits),
            "schema_version": self.schema_version,
            "config_version": self.config_version,
            **({"currency": self.currency} if self.currency else {}),
            "v": VERSION,
        }
        return b"]," + orjson.dumps(common)[1:]


def decision_id(topic: str, partition: int, offset: int) -> str:
    """Where the transaction was read: known before anything is written, the same on replay."""
    return f"{topic}-{partition}-{offset}"


@lru_cache(maxsize=8)
def _fragments(stamp: Stamp, others: tuple[str, ...]) -> Fragments:
    """What stands between the values of every row: see `emit` for the order."""
    opening = [b',"entities":{', *[b","] * len(others)][: len(others)]
    kinds = [comma + orjson.dumps(kind) + b":" for comma, kind in zip(opening, others, strict=True)]
    closing = b"}" if others else b',"entities":{}'
    middles = [
        _middle(stamp, arm, action, severity, None, (), None)
        for arm in range(len(stamp.arms))
        for action in range(len(ACTIONS))
        for severity in range(len(SEVERITIES))
    ]
    return Fragments.of(
        [
            b'{"decision_id":' + orjson.dumps(stamp.topic)[:-1] + b"-",
            b'","transaction_id":',
            b',"event_time_ms":',
            b',"account":',
            closing + b',"amount_minor":',
            b',"score":',
            b',"probability":',
            *kinds,
            *(stamp.tail(arm) for arm in stamp.arms),
            *middles,
        ]
    )


def _middle(
    stamp: Stamp,
    arm: int,
    action: int,
    severity: int,
    explored: bool | None,
    degraded: Sequence[str],
    shadow: float | None,
) -> bytes:
    """The JSON from the action to where the features begin; the rest as in `Verdicts`."""
    told = stamp.arms[arm]
    judged = {
        "action": ACTIONS[action],
        "severity": SEVERITIES[severity],
        "explore_share": None if explored is None else told.explore_share,
        "explored": bool(explored),
        "recommended": told.recommended[severity],
        "degraded": degraded,
        "shadow_scores": {} if shadow is None else {stamp.shadow_version: shadow},
        "features": [],
    }
    return b"," + orjson.dumps(judged)[1:-2]


def decisions(
    rows: Transactions,
    verdicts: Verdicts,
    degraded: Mapping[int, Sequence[str]],
    stamp: Stamp,
) -> Texts:
    """JSON of the decision of each row; not-a-number features become null.

    `degraded` has the flags of the rows that have any. The text depends on nothing but the
    arguments, so a repeated decision has the same bytes.
    """
    others = tuple(kind for kind in rows.entities if kind != "account")
    fragments = _fragments(stamp, others)
    own = _own_fragments(len(others), verdicts, len(stamp.arms))
    explored, shadow = verdicts.explored, verdicts.shadow
    if degraded or explored or shadow:
        known: dict[tuple[int, int, int, bool | None, tuple[str, ...], float | None], int] = {}
        for row in {*degraded, *explored, *shadow}:
            codes = int(verdicts.arm[row]), int(verdicts.action[row]), int(verdicts.severity[row])
            key = (*codes, explored.get(row), tuple(degraded.get(row, ())), shadow.get(row))
            if key not in known:
                known[key] = fragments.length.size + len(known)
            own[0, row] = known[key]
        fragments += Fragments.of([_middle(stamp, *key) for key in known])
    if verdicts.rules:
        fragments += _tails_of_rules(verdicts, stamp, own, fragments.length.size)
    return decision_texts(
        fragments,
        [rows.transaction_id, rows.entities["account"], *(rows.entities[kind] for kind in others)],
        np.array([rows.partition, rows.offset, rows.event_time_ms, rows.amount_minor]),
        np.array([verdicts.score, verdicts.probability]),
        verdicts.features,
        own,
    )


def _tails_of_rules(verdicts: Verdicts, stamp: Stamp, own: Ints, count: int) -> Fragments:
    """What stands behind the features where a rule has decided; `own` of those rows names it.

    `count` is how many fragments there are before.
    """
    known: dict[tuple[int, str], int] = {}
    for row, rule in verdicts.rules.items():
        key = int(verdicts.arm[row]), rule
        own[1, row] = known.setdefault(key, count + len(known))
    return Fragments.of([stamp.tail(stamp.arms[arm], (rule,)) for arm, rule in known])


def _own_fragments(other_count: int, verdicts: Verdicts, arm_count: int) -> Ints:
    """Which of `_fragments` are each row's own, where nothing special is to be said of it."""
    tail = ENTITIES + other_count + verdicts.arm
    kind = (verdicts.arm * len(ACTIONS) + verdicts.action) * len(SEVERITIES) + verdicts.severity
    return np.array([ENTITIES + other_count + arm_count + kind, tail])


def warm() -> None:
    """Compile or load the kernel, by encoding one row."""
    zero = np.zeros(1, dtype=np.int64)
    text = Texts.of(["a"])
    rows = Transactions(text, zero, zero, zero, zero, {"account": text})
    half = np.full(1, 0.5)
    decisions(
        rows,
        Verdicts(half, half, zero, zero, zero, half[:, np.newaxis]),
        {},
        Stamp("", "", "", (ArmStamp("", "", ((),) * len(SEVERITIES)),)),
    )


def alert(decision: bytes, reasons: Sequence[Mapping[str, Any]], *, explained: bool) -> bytes:
    """An alert: the decision as it was published, and its reasons.

    `explained` is False when the reasons could not be had; the alert then says so.
    """
    reason_text = orjson.dumps(list(reasons), option=orjson.OPT_SERIALIZE_NUMPY)
    flag = b"true" if explained else b"false"
    return decision[:-1] + b',"reasons":' + reason_text + b',"explained":' + flag + b"}"
