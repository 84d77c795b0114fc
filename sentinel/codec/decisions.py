"""Decisions as JSON, a whole batch at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sentinel.core.decision import ACTIONS, SEVERITIES, Codes
from sentinel.records import Floats, Transactions
from sentinel.texts import Texts

VERSION = 1


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided for each row of a batch; all (n,), features (n, n_features)."""

    score: Floats
    probability: Floats
    action: Codes
    severity: Codes
    features: Floats


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all decisions of a batch have in common."""

    topic: str
    model_version: str
    schema_version: str
    config_version: str
    recommended: tuple[tuple[str, ...], ...]  # by severity

    def tail(self) -> bytes:
        """The JSON of the common fields, from the comma to the closing brace."""
        common = {
            "model_version": self.model_version,
            "arm": "champion",
            "propensity": 1.0,
            "shadow_scores": {},
            "rule_hits": [],
            "schema_version": self.schema_version,
            "config_version": self.config_version,
            "v": VERSION,
        }
        return b"," + orjson.dumps(common)[1:]


def decision_id(topic: str, partition: int, offset: int) -> str:
    """Where the transaction was read: known before anything is written, the same on replay."""
    return f"{topic}-{partition}-{offset}"


def decisions(
    rows: Transactions,
    verdicts: Verdicts,
    degraded: Mapping[int, list[str]],
    stamp: Stamp,
) -> Texts:
    """JSON of the decision of each row; not-a-number features become null.

    `degraded` has the flags of the rows that have any. The text depends on nothing but the
    arguments, so a repeated decision has the same bytes.
    """
    dumps = orjson.dumps
    tail = stamp.tail()
    offsets, partitions = rows.offset.tolist(), rows.partition.tolist()
    times, amounts = rows.event_time_ms.tolist(), rows.amount_minor.tolist()
    scores, probabilities = verdicts.score.tolist(), verdicts.probability.tolist()
    actions, severities = verdicts.action.tolist(), verdicts.severity.tolist()
    features = verdicts.features.tolist()
    accounts = rows.entities["account"]
    others = [(kind, keys) for kind, keys in rows.entities.items() if kind != "account"]
    encoded = []
    for i in range(len(rows)):
        decision: dict[str, Any] = {
            "decision_id": decision_id(stamp.topic, partitions[i], offsets[i]),
            "transaction_id": rows.transaction_id[i],
            "event_time_ms": times[i],
            "account": accounts[i],
            "entities": {kind: keys[i] for kind, keys in others},
            "amount_minor": amounts[i],
            "score": scores[i],
            "probability": probabilities[i],
            "action": ACTIONS[actions[i]],
            "severity": SEVERITIES[severities[i]],
            "recommended": stamp.recommended[severities[i]],
            "degraded": degraded.get(i, ()),
            "features": features[i],
        }
        encoded.append(dumps(decision)[:-1] + tail)
    return Texts.of_bytes(encoded)


def alert(decision: bytes, reasons: Sequence[Mapping[str, Any]], *, explained: bool) -> bytes:
    """An alert: the decision as it was published, and its reasons.

    `explained` is False when the reasons could not be had; the alert then says so.
    """
    reason_text = orjson.dumps(list(reasons), option=orjson.OPT_SERIALIZE_NUMPY)
    flag = b"true" if explained else b"false"
    return decision[:-1] + b',"reasons":' + reason_text + b',"explained":' + flag + b"}"
