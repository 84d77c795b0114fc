"""In which input partition an account is, so that its labels reach whoever has its state.

Where the producer's rule is known it is computed. That it holds is looked at in a few rows of each
batch; where it does not, or is not known, the account itself says who has counted it last: its row
in memory, or what is stored of it.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from sentinel.core.features.packing import partition_of_blob
from sentinel.core.features.state import FeatureState
from sentinel.core.partitioning import Partitioner, PartitionOf, misplacement
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.metrics import Metrics
from sentinel.ports import StateStore
from sentinel.records import Ints, Transactions
from sentinel.texts import Texts

log = logging.getLogger(__name__)

_LOOKED_AT_COUNT = 4  # rows of a batch
_MISPLACED_COUNT_MIN = 3  # one or two may come of a producer that has not heard of new partitions
_ACCOUNT = "account"


class Placement:
    """Knows the partition of accounts.

    Parameters
    ----------
    logs
        Names the log of each input partition, as blobs do.
    """

    def __init__(
        self,
        state: FeatureState,
        store: StateStore,
        partitions: Mapping[int, InputPartition],
        partitioner: Partitioner,
        metrics: Metrics,
        *,
        logs: Ints,
    ) -> None:
        self._state = state
        self._store = store
        self._partitions = partitions
        self._metrics = metrics
        self._logs = logs
        self._partitioner = partitioner
        count = max(logs.size, 1)
        self._rules = {name: PartitionOf(count, name) for name in ("murmur2", "crc32")}
        self._fits = dict.fromkeys(self._rules, True)  # each rule, so far
        self._looked_count = 0

    @property
    def is_computed(self) -> bool:
        """Whether the rule of the producer is known, and holds."""
        is_broken = self._metrics.misplaced >= _MISPLACED_COUNT_MIN
        return self._partitioner != "any" and not is_broken

    @property
    def trouble(self) -> str:
        """What is wrong with where accounts are; empty if nothing is."""
        if self._partitioner == "any" or self.is_computed:
            return ""
        fits = [name for name, fits in self._fits.items() if fits]
        said = misplacement(self._partitioner, self._metrics.misplaced, self._looked_count, fits)
        return f"{said}; until then labels find their way by asking the store for each"

    def look(self, rows: Transactions) -> None:
        """Look at some rows of a batch, whether they are where the rule puts them."""
        if self._partitioner == "any" or self._logs.size < 2 or not len(rows):
            return
        was_computed = self.is_computed
        accounts = rows.entities[_ACCOUNT]
        for i in range(0, len(rows), max(len(rows) // _LOOKED_AT_COUNT, 1)):
            account = accounts[i]
            if account is None:
                continue
            self._looked_count += 1
            for name, rule in self._rules.items():
                if rule(account) != rows.partition[i]:
                    self._fits[name] = False
                    self._metrics.misplaced += name == self._partitioner
        if was_computed and not self.is_computed:
            log.warning("%s", self.trouble)

    async def partitions(self, accounts: Sequence[str]) -> list[int | None]:
        """The partition of each account; None of one that nobody knows, or not yet."""
        if self.is_computed:
            rule = self._rules[self._partitioner]
            return [rule(account) for account in accounts]
        found: list[int | None] = [None] * len(accounts)
        column = Texts.of(accounts)
        table = self._state.tables.get(_ACCOUNT)
        in_memory = table.folded_by(column) if table is not None else np.full(len(accounts), -1)
        for i in np.flatnonzero(in_memory >= 0).tolist():
            found[i] = int(in_memory[i])
        unknown = [i for i, number in enumerate(found) if number is None]
        if unknown:
            blobs = await self._store.load_owned(_ACCOUNT, [accounts[i] for i in unknown], {})
            for i, blob in zip(unknown, blobs, strict=True):
                found[i] = None if blob is None else partition_of_blob(blob, self._logs)
        return found
