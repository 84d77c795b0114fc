"""Why a transaction was decided as it was, and whether the same model decides it so again."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sentinel.adapters.archive import ParquetArchive, Segment
from sentinel.adapters.registry import ModelDirectory
from sentinel.codec.archive import decode_audit_entry
from sentinel.config import Config
from sentinel.errors import ConfigError, ModelError, TransientError
from sentinel.operations import embedded
from sentinel.operations.models import registry as models
from sentinel.records import AuditEntry, Floats
from sentinel.serving_model import ServingModel, serving_model
from sentinel.stored.versions import Artifact

FEATURE = "feature_"
# What tells two decisions, or two labels, on a transaction apart; other logs may hold copies.
_DECIDED = ("decision_id", "event_time_ms", "model_version", "score", "probability", "action")
_SAID = ("label", "posterior", "source", "observed_ms", "supersedes", "feedback_offset")


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one decision.

    Attributes
    ----------
    decision
        Its row in the archive, with the `log` that it came of: the newest one.
    older
        Rows of other decisions on the same transaction, oldest first.
    features
        By name.
    contributions
        What each feature added to the log-odds, by name; empty when the model is gone.
    labels
        Rows of the archive, oldest first.
    audit
        What was said and changed, oldest first, each change once.
    """

    decision: dict[str, Any]
    features: dict[str, float]
    contributions: dict[str, float]
    labels: list[dict[str, Any]]
    older: list[dict[str, Any]]
    audit: list[AuditEntry]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Decisions of one model, scored again from their archived features.

    Attributes
    ----------
    differing
        Identifiers of the first few decisions whose score or probability is not the same, bit for
        bit.
    problem
        Why they could not be scored; empty when they could.
    """

    model_version: str
    count: int
    differing_count: int
    differing: list[str]
    problem: str = ""


class Models:
    """Model versions as they were when they served, from this machine or from the registry."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._directory = ModelDirectory(config.model)
        self._known: dict[str, ServingModel] = {}

    def of(self, version: str) -> ServingModel:
        """Raises ModelError when it is gone, or was changed."""
        if version not in self._known:
            artifact = self._artifact(version)
            self._known[version] = serving_model(artifact, artifact.manifest.get("features") or [])
        return self._known[version]

    def _artifact(self, version: str) -> Artifact:
        if version in self._directory.versions() or embedded.is_wanted(self._config):
            return self._directory.load(version)
        try:
            return asyncio.run(models.artifact(self._config, version))
        except TransientError as error:
            raise ModelError(version, f"is not on this machine, and {error}") from error


def account_of(files: ParquetArchive, config: Config, transaction_id: str) -> Account:
    """The decision on a transaction, and what came after. Raises ConfigError when there is none."""
    decisions = files.find("decisions", transaction_id)
    if not decisions:
        raise ConfigError(
            f"no decision on transaction {transaction_id} is in {config.archive.directory}: "
            "is `sentinel archive run` running?"
        )
    *older, decision = _once(decisions, _DECIDED)
    features = {
        name.removeprefix(FEATURE): value
        for name, value in decision.items()
        if name.startswith(FEATURE) and value is not None
    }
    contributions: dict[str, float] = {}
    try:
        serving = Models(config).of(decision["model_version"])
        is_scored = decision["score"] is not None  # else no model has decided
        is_whole = is_scored and set(serving.model.feature_names) <= features.keys()
    except ModelError:
        is_whole = False  # it is shown without
    if is_whole:
        row = np.array([[features[name] for name in serving.model.feature_names]])
        found = serving.model.contributions(row)[0].tolist()
        contributions = dict(zip(serving.model.feature_names, found, strict=True))
    return Account(
        decision,
        features,
        contributions,
        labels=_once(files.find("labels", transaction_id), _SAID),
        older=older,
        audit=audit_of(files, transaction_id),
    )


def audit_of(files: ParquetArchive, subject: str) -> list[AuditEntry]:
    """What was changed of a transaction, or of one who votes, oldest first.

    After a crash a change may have been written down twice, or in another log: each is told once.
    """
    return [decode_audit_entry(row) for row in _once(files.find("audit", subject), ("id", "at_ms"))]


def _once(rows: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Of rows that say the same in these columns the first: what follows is a copy of it."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in names), row)
    return list(found.values())


def scored_again(files: ParquetArchive, config: Config, transaction_id: str = "") -> list[Replayed]:
    """Every decision in the archive, or one, scored again by the model that scored it."""
    models = Models(config)
    totals: dict[str, Replayed] = {}
    for segment in files.segments("decisions"):
        for found in _replayed(files, segment, models, transaction_id):
            before = totals.get(found.model_version)
            totals[found.model_version] = found if before is None else _sum(before, found)
    return [totals[version] for version in sorted(totals)]


def _replayed(
    files: ParquetArchive, segment: Segment, models: Models, transaction_id: str
) -> Iterator[Replayed]:
    for frame in files.batches(segment):
        if transaction_id:
            frame = frame.filter(frame["transaction_id"] == transaction_id)
        for version in frame["model_version"].unique().sort().to_list():
            yield _scored(frame.filter(frame["model_version"] == version), version, models)


def _scored(rows: pl.DataFrame, version: str, models: Models) -> Replayed:
    """Archived decisions that one version has scored, beside what it says of them now."""
    rows = rows.filter(rows["score"].is_not_null())
    ids = rows["decision_id"].to_list()
    try:
        serving = models.of(version)
        columns = [FEATURE + name for name in serving.model.feature_names]
        if missing := [name for name in columns if name not in rows.columns]:
            raise ModelError(version, f"its file in the archive has no {', '.join(missing)}")
    except ModelError as error:
        return Replayed(version, len(ids), len(ids), ids[:5], str(error))
    raw = serving.model.raw_scores(np.ascontiguousarray(rows.select(columns).to_numpy()))
    is_same = _same(serving.score(raw), rows["score"].to_numpy()) & _same(
        serving.probability(raw), rows["probability"].to_numpy()
    )
    others = np.flatnonzero(~is_same).tolist()
    return Replayed(version, len(ids), len(others), [ids[i] for i in others[:5]])


def _same(found: Floats, archived: Floats) -> NDArray[np.bool_]:
    """Bit for bit."""
    return np.equal(found.view(np.int64), archived.astype(np.float64).view(np.int64))


def _sum(before: Replayed, more: Replayed) -> Replayed:
    return Replayed(
        before.model_version,
        before.count + more.count,
        before.differing_count + more.differing_count,
        (before.differing + more.differing)[:5],
        before.problem or more.problem,
    )
