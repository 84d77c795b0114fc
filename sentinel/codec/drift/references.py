"""References and columns as they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import msgspec
import numpy as np

from sentinel.codec.drift.counts import (
    listed_sums,
    pack_counts,
    sums_as_listed,
    unpack_counts,
)
from sentinel.core.drift.counts.columns import (
    EDGE_COUNT,
    BinnedColumn,
    ColumnKind,
    digest,
    padded,
    score_column,
)
from sentinel.core.drift.counts.reference import Origin, Reference
from sentinel.core.drift.counts.segments import SegmentCounts
from sentinel.errors import RecordError
from sentinel.stored.references import StoredColumn, StoredColumns, StoredReference


def stored_columns(columns: Sequence[BinnedColumn]) -> StoredColumns:
    """Columns of features as they are kept; the digest is that of these and the score's."""
    told = [_stored_column(column) for column in columns]
    return StoredColumns(digest([*columns, score_column()]), told)


def columns_of(stored: Sequence[StoredColumn]) -> tuple[BinnedColumn, ...]:
    """What was kept. Raises RecordError when it makes no sense."""
    return tuple(_column(column) for column in stored)


def stored_reference(reference: Reference) -> StoredReference:
    """A reference as it is kept."""
    return StoredReference(
        columns=[_stored_column(column) for column in reference.features],
        counts=pack_counts(reference.counts),
        scores=pack_counts(reference.scores),
        score_sums=sums_as_listed(reference.score_sums),
        first_ms=reference.first_ms,
        last_ms=reference.last_ms,
        origin=reference.origin,
        segments=b"" if reference.segments is None else pack_counts(reference.segments.features),
        segment_scores=b"" if reference.segments is None else pack_counts(reference.segments.score),
        segmentation=reference.segmentation,
    )


def reference_from(stored: StoredReference) -> Reference:
    """What was kept. Raises RecordError when it makes no sense."""
    columns = columns_of(stored.columns)
    counts = unpack_counts(stored.counts, len(columns))
    scores = unpack_counts(stored.scores, 1)
    origin = next((one for one in get_args(Origin) if one == stored.origin), None)
    if origin is None:
        raise RecordError("not_a_reference", f'the origin "{stored.origin}" is not known')
    sums = listed_sums(stored.score_sums)
    found = Reference(columns, counts, scores, sums, stored.first_ms, stored.last_ms, origin)
    if not stored.segments:
        return found
    segments = SegmentCounts(
        unpack_counts(stored.segments, len(columns)), unpack_counts(stored.segment_scores, 1)
    )
    return replace(found, segments=segments, segmentation=stored.segmentation)


def manifest_entry(reference: Reference) -> dict[str, Any]:
    """A reference within a manifest: of what JSON has."""
    entry: dict[str, Any] = msgspec.to_builtins(stored_reference(reference))
    return entry


def from_manifest(manifest: Mapping[str, Any]) -> Reference | None:
    """The reference of a manifest; None if it has none. Raises RecordError of a damaged one."""
    told = manifest.get("reference")
    if told is None:
        return None
    try:
        stored = msgspec.convert(told, StoredReference)
    except msgspec.ValidationError as error:
        raise RecordError("not_a_reference", str(error)) from error
    return reference_from(stored)


def _stored_column(column: BinnedColumn) -> StoredColumn:
    edges = column.edges[np.isfinite(column.edges)].tolist()
    return StoredColumn(column.name, column.kind, edges, list(column.names))


def _column(stored: StoredColumn) -> BinnedColumn:
    kind = next((one for one in get_args(ColumnKind) if one == stored.kind), None)
    edges = np.array(stored.edges, dtype=np.float64)
    if kind is None or edges.size > EDGE_COUNT or not np.isfinite(edges).all():
        raise RecordError("not_a_column", f'"{stored.name:.80}" cannot be counted so')
    if (np.diff(edges) <= 0).any():
        raise RecordError("not_a_column", f'the edges of "{stored.name:.80}" do not ascend')
    return BinnedColumn(stored.name, kind, padded(edges), tuple(stored.names))
