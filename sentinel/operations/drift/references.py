"""What a version is compared with, looked at."""

from dataclasses import dataclass

from sentinel.config import Config
from sentinel.core.drift.counts.columns import MISSING
from sentinel.core.drift.counts.reference import Origin
from sentinel.engine.drift.references import FoundReference, KeptIn, own_reference
from sentinel.errors import ConfigError, RecordError
from sentinel.operations.stores import open_drift, open_models
from sentinel.ports import DriftStore, ModelStore


@dataclass(frozen=True, slots=True)
class ReferenceColumn:
    """One feature of a reference.

    Attributes
    ----------
    cell_count
        Numbers between edges, or values, that are told apart.
    missing_share
        Of its rows; None without any.
    """

    name: str
    kind: str
    cell_count: int
    missing_share: float | None


@dataclass(frozen=True, slots=True)
class ReferenceFacts:
    """A reference in short.

    Attributes
    ----------
    kept_in
        Where it is: "store", what the stream gave, or "manifest", made with the model.
    row_count, score_row_count
        Rows that were counted, and those that the version has a score of. Without any, the stream
        is to give them.
    rows_per_account
        Weighted by them.
    """

    version: str
    kept_in: KeptIn
    origin: Origin
    first_ms: int
    last_ms: int
    row_count: int
    score_row_count: int
    rows_per_account: float
    columns: list[ReferenceColumn]

    @property
    def is_whole(self) -> bool:
        """Whether it lacks nothing that the stream is to give."""
        return min(self.row_count, self.score_row_count) > 0


def told_reference(found: FoundReference, version: str) -> ReferenceFacts:
    """A reference in short."""
    reference, n = found.reference, found.reference.row_count
    missing = reference.counts.cells[:, :, MISSING].sum(axis=1).tolist()
    return ReferenceFacts(
        version=version,
        kept_in=found.kept_in,
        origin=reference.origin,
        first_ms=reference.first_ms,
        last_ms=reference.last_ms,
        row_count=n,
        score_row_count=reference.scores.row_count,
        rows_per_account=reference.counts.rows_per_account(),
        columns=[
            ReferenceColumn(
                one.name,
                one.kind,
                one.finite_count + (one.kind == "numeric"),
                count / n if n else None,
            )
            for one, count in zip(reference.features, missing, strict=True)
        ],
    )


async def found_reference(
    drift: DriftStore, models: ModelStore, version: str
) -> FoundReference | None:
    """What a version is compared with: what the stream gave goes before what its manifest has.

    None where there is none. Raises ConfigError of one that makes no sense.
    """
    try:
        return await own_reference(drift, models, version)
    except RecordError as error:
        why = f"the reference of version {version} is damaged: {error.detail}"
        raise ConfigError(why) from error


async def watched_version(drift: DriftStore, models: ModelStore) -> str:
    """The version that is watched, or else the champion; empty without either."""
    progress = await drift.progress()
    if progress is not None and progress.version:
        return progress.version
    return (await models.registry_state()).champion or ""


async def read_reference(config: Config, version: str) -> tuple[str, ReferenceFacts | None]:
    """Of a version, or of the one that is watched: its name, and its reference if it has one.

    Raises ConfigError of a version that nobody knows.
    """
    async with open_drift(config.redis) as drift, open_models(config.redis) as models:
        return await reference_facts(drift, models, version)


async def reference_facts(
    drift: DriftStore, models: ModelStore, version: str
) -> tuple[str, ReferenceFacts | None]:
    """The same by what is kept."""
    name = version or await watched_version(drift, models)
    if not name:
        raise ConfigError("no model serves yet: name a version")
    found = await found_reference(drift, models, name)
    if found is not None:
        return name, told_reference(found, name)
    stages = (await models.registry_state()).stages
    if name not in stages:
        there = ", ".join(sorted(stages)) or "none"
        raise ConfigError(f"version {name} is not in the registry; there: {there}")
    return name, None
