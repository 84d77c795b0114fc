"""What a stream is compared with, as it is kept beside a model version."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """`core.drift.columns.Column`, with its finite edges only."""

    name: str
    kind: str
    edges: list[float]
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StoredReference:
    """`core.drift.reference.Reference`.

    Attributes
    ----------
    counts, scores
        Packed (`codec.drift.counts`): of the features, and of the score.
    score_sums
        As `SummarySpan.scores`.
    segments, segment_scores, segmentation
        Packed counts by segment, and the digest of the segmentation; empty where there are none.
    """

    columns: list[StoredColumn]
    counts: bytes
    scores: bytes
    score_sums: list[list[int]]
    first_ms: int
    last_ms: int
    origin: str
    segments: bytes = b""
    segment_scores: bytes = b""
    segmentation: str = ""
    v: int = 1


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """In whose cells all instances count."""

    digest: str
    columns: list[StoredColumn]
    v: int = 1
