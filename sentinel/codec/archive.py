"""Decisions, labels and the audit from their topics, as columns to be archived."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from sentinel.core.logs import log_id
from sentinel.errors import RecordError
from sentinel.records import AuditEntry, Floats, InputRecord, Ints, Label

Kind = Literal["decisions", "labels", "audit"]

KINDS: tuple[Kind, ...] = get_args(Kind)


_OFFSET = re.compile(r"-[0-9]{1,18}\Z")
_LOG_ID = re.compile(r"[0-9a-f]{8}")
_ERA = re.compile(r"\.([0-9]{1,9})")
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Decision(msgspec.Struct):
    """What is archived of a decision; other fields are for those who read the topic."""

    decision_id: str
    transaction_id: str
    event_time_ms: _Int64
    account: str
    entities: dict[str, str | None]
    amount_minor: _Int64
    score: float | None  # null where no model had one
    probability: float | None
    action: str
    severity: str
    degraded: list[str]
    features: list[float | None]
    model_version: str
    arm: str
    propensity: float
    schema_version: str
    config_version: str
    explore_share: float | None = None  # missing before there was exploration
    explored: bool = False
    currency: str | None = None  # of the amount, where it is configured
    experiment: str | None = None  # where it is part of any
    shadow_scores: dict[str, float] = {}


_JSON = msgspec.json.Encoder()
_DECISION = msgspec.json.Decoder(_Decision)
_LABEL = msgspec.json.Decoder(Label)
_AUDIT = msgspec.json.Decoder(AuditEntry)
_DECODERS: dict[Kind, msgspec.json.Decoder[Any]] = {
    "decisions": _DECISION,
    "labels": _LABEL,
    "audit": _AUDIT,
}

# In the order of the columns of an archived file.
DECISION_FIELDS = (
    *("decision_id", "transaction_id", "event_time_ms", "account", "amount_minor", "score"),
    *("probability", "action", "severity", "model_version", "arm", "propensity"),
    *("schema_version", "config_version", "explore_share", "explored"),
)
LABEL_FIELDS = (
    *("transaction_id", "label", "posterior", "vote_count", "source", "observed_ms"),
    *("event_time_ms", "supersedes", "feedback_offset", "feedback_log"),
)
AUDIT_FIELDS = ("id", "kind", "subject", "who", "at_ms")


def _type_of(hint: Any) -> type:
    """Of what is not missing: bool, int, float or str; one of several words is a str."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    (one,) = (option for option in options if option is not NoneType)
    return str if get_origin(one) is Literal else one


# Of the columns above, so that one without a single value has the type of its neighbours in other
# files; what is not here is text.
FIELD_TYPES: dict[str, type] = {
    name: _type_of(hints[name])
    for record, names in (
        (_Decision, DECISION_FIELDS),
        (Label, LABEL_FIELDS),
        (AuditEntry, AUDIT_FIELDS),
    )
    for hints in (get_type_hints(record),)
    for name in names
} | {"shadow_score": float}

Archived = _Decision | Label | AuditEntry  # as it was read


@dataclass(frozen=True, slots=True)
class ArchiveRows:
    """n records of one topic partition.

    Attributes
    ----------
    offset, appended_ms
        int64 (n,): where and when each was appended.
    position
        int64 (n,): what it came of, growing but for repetitions: the offset of the transaction,
        or of the feedback. Of the audit, whose entries name themselves, the offset itself.
    columns
        Lists of n values, by the name of the column.
    features
        float64 (n, n_features); no columns but for decisions.
    """

    offset: Ints
    appended_ms: Ints
    position: Ints
    columns: dict[str, list[Any]]
    features: Floats

    def __len__(self) -> int:
        return self.offset.size


def decode_archived(kind: Kind, record: InputRecord) -> Archived:
    """A record of the topic of that kind. Raises RecordError when it is none."""
    try:
        found: Archived = _DECODERS[kind].decode(record.value or b"")
    except msgspec.MsgspecError as error:
        raise RecordError("not_ours", f"offset {record.offset}: {error}") from error
    if isinstance(found, _Decision) and not _OFFSET.search(found.decision_id):
        detail = f"offset {record.offset}: decision_id names no offset: {found.decision_id!r}"
        raise RecordError("not_ours", detail)
    return found


def model_of(found: Archived) -> tuple[str, int]:
    """The version that scored a decision and how many features it saw; of others "" and 0."""
    return (found.model_version, len(found.features)) if isinstance(found, _Decision) else ("", 0)


def source_of(found: Archived, transactions: str) -> str:
    """Names the log that its position is of, in digits and small letters.

    Empty for the first log that the topic of `transactions` was, and where that is not told.
    """
    if isinstance(found, _Decision):
        topic = found.decision_id.rsplit("-", 2)[0]
        era = _ERA.fullmatch(topic.removeprefix(transactions))
        if topic == transactions:
            return ""
        return log_id(topic) if era is None else f"e{int(era[1])}"
    if isinstance(found, Label):
        log = found.feedback_log
        return log if _LOG_ID.fullmatch(log) else log_id(log)
    return ""


def archive_rows(records: Sequence[InputRecord], found: Sequence[Archived]) -> ArchiveRows:
    """Records as columns: all of one kind, decisions with equally many features."""
    if isinstance(found[0], _Decision):
        decisions = [one for one in found if isinstance(one, _Decision)]
        columns = _columns(decisions, DECISION_FIELDS)
        if any(one.currency for one in decisions):
            columns["currency"] = [one.currency for one in decisions]
        if any(one.experiment for one in decisions):
            columns["experiment"] = [one.experiment for one in decisions]
        if any(one.shadow_scores for one in decisions):
            shadows = [next(iter(one.shadow_scores.items()), (None, None)) for one in decisions]
            columns["shadow_version"] = [version for version, _ in shadows]
            columns["shadow_score"] = [score for _, score in shadows]
        columns["degraded"] = [",".join(one.degraded) for one in decisions]
        features = np.array([one.features for one in decisions], dtype=np.float64)
        position = [int(one.decision_id.rsplit("-", 1)[1]) for one in decisions]
        return _rows(records, position, columns, features.reshape(len(records), -1))
    if isinstance(found[0], AuditEntry):
        entries = [one for one in found if isinstance(one, AuditEntry)]
        columns = {name: [getattr(one, name) for one in entries] for name in AUDIT_FIELDS}
        for name in ("before", "after"):
            columns[name] = [_JSON.encode(getattr(one, name)).decode() for one in entries]
        return _rows(records, [r.offset for r in records], columns, np.zeros((len(records), 0)))
    labels = [one for one in found if isinstance(one, Label)]
    columns = _columns(labels, LABEL_FIELDS)
    columns["account"] = [one.entities.get("account") for one in labels]
    position = [one.feedback_offset for one in labels]
    return _rows(records, position, columns, np.zeros((len(records), 0)))


def _columns(found: Sequence[Any], fields: Sequence[str]) -> dict[str, list[Any]]:
    columns = {name: [getattr(one, name) for one in found] for name in fields}
    kinds = sorted({kind for one in found for kind in one.entities} - {"account"})
    for kind in kinds:
        columns[f"entity_{kind}"] = [one.entities.get(kind) for one in found]
    return columns


def _rows(
    records: Sequence[InputRecord],
    position: list[int],
    columns: dict[str, list[Any]],
    features: Floats,
) -> ArchiveRows:
    return ArchiveRows(
        offset=np.array([record.offset for record in records], dtype=np.int64),
        appended_ms=np.array([record.timestamp for record in records], dtype=np.int64),
        position=np.array(position, dtype=np.int64),
        columns=columns,
        features=features,
    )


def decode_audit_entry(row: Mapping[str, Any]) -> AuditEntry:
    """An archived row of the audit, as it was published."""
    values = {name: row[name] for name in AUDIT_FIELDS}
    before, after = (msgspec.json.decode(row[name]) for name in ("before", "after"))
    return AuditEntry(**values, before=before, after=after)
