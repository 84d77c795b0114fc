"""Decisions encoded the slow, obvious way: each as a dictionary."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from sentinel.codec.decisions import Stamp, Verdicts, decision_id
from sentinel.core.decision import ACTIONS, SEVERITIES
from sentinel.records import Transactions


def decisions_one_by_one(
    rows: Transactions,
    verdicts: Verdicts,
    degraded: Mapping[int, Sequence[str]],
    stamp: Stamp,
) -> list[bytes]:
    """What `decisions` must give."""
    encoded = []
    for i in range(len(rows)):
        severity = int(verdicts.severity[i])
        arm = stamp.arms[int(verdicts.arm[i])]
        kinds = [kind for kind in rows.entities if kind != "account"]
        decision: dict[str, Any] = {
            "decision_id": decision_id(stamp.topic, int(rows.partition[i]), int(rows.offset[i])),
            "transaction_id": rows.transaction_id[i],
            "event_time_ms": int(rows.event_time_ms[i]),
            "account": rows.entities["account"][i],
            "entities": {kind: rows.entities[kind][i] for kind in kinds},
            "amount_minor": int(rows.amount_minor[i]),
            "score": float(verdicts.score[i]),  # NaN comes out as null
            "probability": float(verdicts.probability[i]),
            "action": ACTIONS[int(verdicts.action[i])],
            "severity": SEVERITIES[severity],
            "explore_share": arm.explore_share if i in verdicts.explored else None,
            "explored": verdicts.explored.get(i, False),
            "recommended": arm.recommended[severity],
            "degraded": degraded.get(i, ()),
            "shadow_scores": {stamp.shadow_version: verdicts.shadow[i]}
            if i in verdicts.shadow
            else {},
            "features": verdicts.features[i].tolist(),
            "model_version": arm.model_version,
            "arm": arm.name,
            "propensity": arm.propensity,
            **({"experiment": arm.experiment} if arm.experiment else {}),
            "rule_hits": [verdicts.rules[i]] if i in verdicts.rules else [],
            "schema_version": stamp.schema_version,
            "config_version": stamp.config_version,
            **({"currency": stamp.currency} if stamp.currency else {}),
            "v": 1,
        }
        encoded.append(orjson.dumps(decision))
    return encoded
