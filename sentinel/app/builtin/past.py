"""The generated history as examples: what the first model was made of, the trainer is given, too.

They are kept in a file, since the embedded broker forgets its log at each end and a second run does
not read the history again. Of the genuine transactions as many become examples as of those that the
archive presumes, with the same weight; each example comes when its label would have.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

import numpy as np
import polars as pl

from sentinel.adapters.files import write_table
from sentinel.codec.records import decode_example
from sentinel.config import Config
from sentinel.core.features.hashing import hash64
from sentinel.core.features.spec import duration_ms
from sentinel.core.learning.maturity import is_sampled
from sentinel.core.learning.training_data.examples import Bools
from sentinel.core.learning.training_data.hold_out import is_held_out
from sentinel.engine.archive.examples import PRESUMED, example_list
from sentinel.engine.tail import read_to_end
from sentinel.errors import RecordError
from sentinel.operations.data.history import Rows
from sentinel.ports import Tail
from sentinel.records import HISTORY_ARM, Example
from sentinel.serving_model import ServingModel

log = logging.getLogger(__name__)

# Before the transaction's own name, which is no number: a decision's is its topic, partition and
# offset, so that none has the same, whatever the topic is called.
_PREFIX = "history-"
_FILE = "history.parquet"
_SILENT_S_MAX = 20.0
_ROW_COUNT = 5_000

PastRows = pl.DataFrame  # as `past_rows` makes them


def past_rows(spans: Iterable[Rows], serving: ServingModel, config: Config) -> PastRows:
    """Examples of a history, a row each, by event time, with the features as they were then.

    Nobody decided anything then, so everything is approved, and the score is what the model says
    that was made of it.
    """
    frames = [_frame(rows, serving, config) for rows in spans]
    names = serving.model.feature_names
    features = pl.concat(frames).with_columns(
        pl.col([f"feature_{name}" for name in names]).fill_nan(None)
    )
    delay_ms = duration_ms(config.training.label_delay)
    return features.with_columns(
        model_version=pl.lit(serving.version),
        action=pl.lit("approve"),
        arm=pl.lit(HISTORY_ARM),
        label_delay_ms=pl.when(pl.col("label") == 1).then(delay_ms),
        known_ms=pl.col("event_time_ms") + delay_ms,
        weight=1.0 / pl.col("propensity"),
        is_selective=pl.lit(value=False),
        explored=pl.lit(value=False),
        supersedes=pl.lit(None, pl.String),
    )


def held_out_of(spans: Iterable[Rows], share: float) -> Bools:
    """Which transactions a learner never trains on: the first model shall not, either.

    So what was learnt long ago can be tested from the first update on.
    """
    hashes = [hash64(rows.transactions.transaction_id) for rows in spans]
    return is_held_out(np.concatenate(hashes), share)


def _frame(rows: Rows, serving: ServingModel, config: Config) -> pl.DataFrame:
    share, all_ids = config.maturity.genuine_share, rows.transactions.transaction_id
    is_known = (rows.labels == 1) | ((rows.labels == 0) & is_sampled(hash64(all_ids), share))
    at = np.flatnonzero(is_known)
    features, is_fraud = np.ascontiguousarray(rows.features[at]), rows.labels[at] == 1
    raw = serving.model.raw_scores(features)
    ids = [text or "" for text in all_ids.take(at)]
    names = [_PREFIX + one for one in ids]
    columns = {
        "id": names,
        "transaction_id": ids,
        "decision_id": names,
        "event_time_ms": rows.transactions.event_time_ms[at],
        "account": list(rows.transactions.entities["account"].take(at)),
        "amount_minor": rows.transactions.amount_minor[at],
        "score": serving.scaled(raw),
        "probability": serving.probability(raw),
        "label": is_fraud.astype(np.int8),
        "posterior": np.where(is_fraud, config.consensus.trusted_posterior, 0.0),
        "source": ["chargeback" if one else PRESUMED for one in is_fraud.tolist()],
        "propensity": np.where(is_fraud, 1.0, share),
    }
    of_features = {
        f"feature_{name}": features[:, i] for i, name in enumerate(serving.model.feature_names)
    }
    return pl.DataFrame({**columns, **of_features})


def keep_past(rows: PastRows, directory: Path) -> None:
    """Write them down: whole, or not at all. Raises ConfigError where that cannot be."""
    path = directory / _FILE
    unfinished = path.with_suffix(".unfinished")
    write_table(rows, unfinished, called=path)
    unfinished.replace(path)


class GeneratedPast:
    """Publishes the examples of a history, each once in a log, when its label is known."""

    def __init__(self, rows: PastRows) -> None:
        self._rows = rows
        self._known_to_ms = -1
        self._seen: set[str] = set()  # what is out already

    @classmethod
    def kept(cls, directory: Path) -> "GeneratedPast | None":
        """What a first run has written down; None if there is nothing that can be read."""
        path = directory / _FILE
        try:
            return cls(pl.read_parquet(path))
        except (OSError, pl.exceptions.PolarsError) as error:
            log.info("the generated history gives no examples: %s", str(error).splitlines()[0])
            return None

    @property
    def is_over(self) -> bool:
        """Whether all of it is known."""
        return self._rows.filter(pl.col("known_ms") > self._known_to_ms).is_empty()

    async def look(self, tail: Tail, topic: str) -> None:
        """Find out which of them are out already."""
        batches = read_to_end(tail, topic, timeout_s=_SILENT_S_MAX)
        async with aclosing(batches):
            async for records in batches:
                for record in records:
                    try:
                        self._seen.add(decode_example(record.value).id)
                    except RecordError as error:
                        log.warning("example at offset %d: %s", record.offset, error.unquoted)

    async def due(self, now_ms: int) -> list[Example]:
        """Those that have become known since the last call, and are not out."""
        known_ms = pl.col("known_ms")
        rows = self._rows.filter((known_ms > self._known_to_ms) & (known_ms <= now_ms))
        self._known_to_ms = max(self._known_to_ms, now_ms)
        found: list[Example] = []
        for begin in range(0, len(rows), _ROW_COUNT):  # a thread that computes holds the loop up
            found += await asyncio.to_thread(example_list, rows.slice(begin, _ROW_COUNT))
        return [one for one in found if one.id not in self._seen]
