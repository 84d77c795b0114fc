"""Every decision of a run, checked: there once, in its place, and scored as its version scores.

A decision has its features, so its score can be computed again from nothing but the decision and
the version that it names, and be compared bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.harness import Site
from sentinel.adapters.kafka import KafkaTail
from sentinel.core.learning.training_data.examples import Bools
from sentinel.engine.tail import read_to_end
from sentinel.records import Floats, Ints
from sentinel.serving_model import ServingModel

SILENT_S_MAX = 60.0


class Decision(msgspec.Struct, gc=False):
    """What is read of a decision."""

    decision_id: str
    score: float
    probability: float
    features: list[float | None]
    model_version: str


_DECODER = msgspec.json.Decoder(Decision)


@dataclass(frozen=True, slots=True)
class Checked:
    """Decisions of one partition, in the order of its topic, shape (n,) each.

    Attributes
    ----------
    code
        Which version, as its place among those asked about; -1 of another one.
    is_in_place
        Whether the decision is that of the transaction at its own offset: where all are, and there
        are as many as transactions, none is lost and none is decided twice.
    is_exact
        Whether score and probability are those of the version it names, bit for bit.
    is_telling
        Whether another version's score would have been another number.
    """

    code: Ints
    is_in_place: Bools
    is_exact: Bools
    is_telling: Bools


async def decided(at: Site, models: Mapping[str, ServingModel]) -> list[Checked]:
    """All decisions, by partition."""
    return [
        await _partition(at, number, models) for number in range(at.config.topics.partition_count)
    ]


async def _partition(at: Site, number: int, models: Mapping[str, ServingModel]) -> Checked:
    parts = []
    prefix = f"{at.input_topic}-{number}-"
    async with KafkaTail(at.config.kafka, [at.decision_topic], partition=number) as tail:
        async for records in read_to_end(tail, at.decision_topic, timeout_s=SILENT_S_MAX):
            found = [_DECODER.decode(record.value or b"") for record in records]
            parts.append(checked(found, [record.offset for record in records], prefix, models))
    return joined(parts)


def checked(
    found: Sequence[Decision],
    offsets: Sequence[int],
    prefix: str,
    models: Mapping[str, ServingModel],
) -> Checked:
    """Decisions at these offsets, checked.

    Parameters
    ----------
    prefix
        A decision's identifier but for the offset of its transaction.
    models
        The versions that may have decided.
    """
    places = {version: code for code, version in enumerate(models)}
    code = np.array([places.get(one.model_version, -1) for one in found], dtype=np.int64)
    features = np.array([one.features for one in found], dtype=np.float64)
    score = np.array([one.score for one in found])
    probability = np.array([one.probability for one in found])
    is_exact, is_telling = (np.zeros(len(found), dtype=np.bool_) for _ in range(2))
    for place, model in enumerate(models.values()):
        is_own = code == place
        own_score, own_probability = _scored(model, features)
        is_exact |= is_own & (score == own_score) & (probability == own_probability)
        is_telling |= ~is_own & (score != own_score)
    is_in_place = np.array(
        [one.decision_id == f"{prefix}{at}" for one, at in zip(found, offsets, strict=True)]
    )
    return Checked(code, is_in_place, is_exact, is_telling)


def _scored(model: ServingModel, features: Floats) -> tuple[Floats, Floats]:
    raw = model.model.raw_scores(features)
    return model.score(raw), model.probability(raw)


def joined(parts: Sequence[Checked]) -> Checked:
    """The decisions of all parts, one after the other."""
    names = ("code", "is_in_place", "is_exact", "is_telling")
    return Checked(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def takeovers(code: Ints, wanted: Sequence[int]) -> Ints:
    """The offsets from which each of these versions decides in a partition, shape (len(wanted),).

    Raises SystemExit if they did not take over once each, in this order.

    Parameters
    ----------
    code
        As of `Checked`.
    """
    changes = np.flatnonzero(np.diff(code)) + 1
    found = code[changes].tolist()
    if found != list(wanted):
        raise SystemExit(f"versions took over in the order {found}, expected {list(wanted)}")
    return changes
