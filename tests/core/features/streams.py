"""Random streams of transactions and labels, and the many features that are read from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from sentinel.core.features.kernels.events import MARK_FRAUD, MARK_GENUINE
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState, Labels
from sentinel.records import Floats, Transactions
from sentinel.texts import Texts

START_MS = 1_700_000_000_000
GAPS_MS = (0, 0, 0, 1, 999, 60_000, 3_599_999, 3_600_000, 50_000_000, 86_400_000, 400_000_000)
LATENESS_MS = (0, 0, 0, 0, 0, 1, 1_000, 3_600_000, 3_600_001, 30_000_000, 100_000_000)
AMOUNTS = (0, 1, 99, 100, 1_234, 500_000, 10**12)
TEXTS = (None, "", "grocery", "fuel", "m\0", "ünï")


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a stream: a transaction, or, with `mark`, what is now known of an earlier one."""

    transaction_id: str
    partition: int
    offset: int
    ms: int
    amount: int
    account: str
    terminal: str | None
    category: str | None
    mark: int = 0
    fraud_change: int = 0


def rows_of(items: Sequence[Item]) -> tuple[Transactions, Labels]:
    """A batch of the rows of a stream."""

    def column(name: str) -> NDArray[np.int64]:
        return np.array([getattr(item, name) for item in items], dtype=np.int64)

    rows = Transactions(
        transaction_id=Texts.of(item.transaction_id for item in items),
        partition=column("partition"),
        offset=column("offset"),
        event_time_ms=column("ms"),
        amount_minor=column("amount"),
        entities={
            "account": Texts.of(item.account for item in items),
            "terminal": Texts.of(item.terminal for item in items),
        },
        numeric={"distance": np.array([(i.amount % 7) or np.nan for i in items], dtype=np.float64)},
        categorical={"category": Texts.of(item.category for item in items)},
    )
    return rows, Labels(column("mark"), column("fraud_change"))


class Builder:
    """Numbers the rows of a stream: accounts belong to partitions, offsets ascend in each."""

    def __init__(self, partition_count: int) -> None:
        self._partition_count = partition_count
        self._offsets = [0] * partition_count
        self._label_offset = 0
        self._frauds: set[str] = set()
        self._transactions: list[Item] = []
        self.items: list[Item] = []
        self.clock_ms = START_MS

    def transaction(
        self,
        *,
        gap_ms: int,
        lateness_ms: int,
        account: int,
        terminal: int | None,
        category: str | None,
        amount: int,
    ) -> None:
        partition = account % self._partition_count
        self.clock_ms += gap_ms
        # One millisecond in `partition_count` for each: which of two partitions came first at one
        # instant is not kept in stored state, so nothing may depend on it.
        ms = (self.clock_ms - lateness_ms) // self._partition_count * self._partition_count
        item = Item(
            transaction_id=f"t{len(self._transactions)}",
            partition=partition,
            offset=self._offsets[partition],
            ms=ms + partition,
            amount=amount,
            account=f"a{account}",
            terminal=None if terminal is None else f"s{terminal}",
            category=category,
        )
        self._offsets[partition] += 1
        self._transactions.append(item)
        self.items.append(item)

    def label(self, *, back: int, is_fraud: bool) -> None:
        """Label the transaction `back` places before the newest."""
        if not self._transactions:
            return
        of = self._transactions[-1 - back % len(self._transactions)]
        known = of.transaction_id in self._frauds
        (self._frauds.add if is_fraud else self._frauds.discard)(of.transaction_id)
        self._label_offset += 1
        self.items.append(
            Item(
                transaction_id=of.transaction_id,
                partition=of.partition,
                offset=self._label_offset,
                ms=of.ms,
                amount=0,
                account=of.account,
                terminal=of.terminal,
                category=None,
                mark=MARK_FRAUD if is_fraud else MARK_GENUINE,
                fraud_change=is_fraud - known,
            )
        )


@st.composite
def streams(
    draw: st.DrawFn,
    *,
    partition_count: int = 1,
    count_max: int = 60,
    account_count: int = 3,
    terminal_count: int = 2,
    is_ordered: bool = False,
) -> list[Item]:
    """A short stream of which hypothesis knows every row, so that failures shrink well."""
    builder = Builder(partition_count)
    kind = st.sampled_from(("transaction", "transaction", "transaction", "label"))
    for _ in range(draw(st.integers(1, count_max))):
        if draw(kind) == "label":
            builder.label(back=draw(st.integers(0, 9)), is_fraud=draw(st.booleans()))
            continue
        terminal = draw(st.integers(-1, terminal_count - 1))
        builder.transaction(
            gap_ms=draw(st.sampled_from(GAPS_MS)),
            lateness_ms=0 if is_ordered else draw(st.sampled_from(LATENESS_MS)),
            account=draw(st.integers(0, account_count - 1)),
            terminal=None if terminal < 0 else terminal,
            category=draw(st.sampled_from(TEXTS)),
            amount=draw(st.sampled_from(AMOUNTS)),
        )
    return builder.items


def long_stream(
    seed: int,
    count: int,
    *,
    partition_count: int = 1,
    account_count: int = 12,
    terminal_count: int = 8,
    is_ordered: bool = False,
) -> list[Item]:
    """A stream of many rows from a seed."""
    rng = np.random.default_rng(seed)
    builder = Builder(partition_count)
    while len(builder.items) < count:
        if rng.random() < 0.15:
            builder.label(back=int(rng.integers(0, 50)), is_fraud=bool(rng.random() < 0.6))
            continue
        late = not is_ordered and rng.random() < 0.2
        terminal = int(rng.integers(-1, terminal_count))
        builder.transaction(
            gap_ms=int(rng.exponential(1_000_000)) if rng.random() < 0.8 else 0,
            lateness_ms=int(rng.exponential(10_000_000)) if late else 0,
            account=int(rng.integers(0, account_count)),
            terminal=None if terminal < 0 else terminal,
            category=TEXTS[rng.integers(0, len(TEXTS))]
            if rng.random() < 0.5
            else f"c{rng.integers(0, 30)}",
            amount=int(np.exp(rng.normal(8, 2))),
        )
    return builder.items


@st.composite
def entity_params(draw: st.DrawFn, kind: str = "") -> EntityParams:
    """Small rings, so that they overflow."""
    is_events = (kind or draw(st.sampled_from(("events", "tiles")))) == "events"
    return EntityParams(
        kind="events" if is_events else "tiles",
        events_max=draw(st.sampled_from((2, 3, 7, 64))),
        tile=draw(st.sampled_from(("1h", "7h", "1d"))),
        grace=draw(st.sampled_from(("0s", "1h", "1d"))),
    )


@st.composite
def entities(draw: st.DrawFn) -> dict[str, EntityParams]:
    return {"account": draw(entity_params()), "terminal": draw(entity_params())}


def every_feature() -> list[FeatureParams]:
    """Every statistic of both entities, in many windows, and of the transaction alone."""
    return [*stateless_features(), *features_of("account"), *features_of("terminal")]


def stateless_features() -> list[FeatureParams]:
    calendar = [
        FeatureParams(name=f"{stat}_{offset}", stat=stat, utc_offset_h=offset)
        for stat in ("hour", "weekday", "night", "weekend")
        for offset in (0.0, 5.5, -3.0)
    ]
    return [
        *calendar,
        FeatureParams(name="amount", stat="amount"),
        FeatureParams(name="distance", stat="value", field="distance"),
        FeatureParams(name="distance_0", stat="value", field="distance", empty=-1.0),
        FeatureParams(name="code", stat="category", field="category", values=("fuel", "grocery")),
    ]


def features_of(entity: str) -> list[FeatureParams]:
    other = "terminal" if entity == "account" else "account"
    found = []

    def add(stat: str, **options: object) -> None:
        name = f"{entity} {stat} {options}"
        found.append(FeatureParams(name=name, stat=stat, entity=entity, **options))  # type: ignore[arg-type]

    for stat in ("count", "sum", "mean", "std", "max"):
        for window in ("1h", "1d", "3d"):
            add(stat, window=window)
        add(stat, window="1d", include_current=True)
        add(stat, window="1d", delay="1h", empty=-1.0)
        add(stat, window="3d", delay="1h")
        add(stat, window="2d", delay="1d")
    for field in ("category", other):
        add("distinct", window="1d", field=field)
        add("distinct", window="3d", field=field, include_current=True)
        add("distinct", window="1d", field=field, delay="1h")
        add("first_seen", field=field)
        add("first_seen", field=field, window="1d", empty=0.5)
    for stat in ("fraud_count", "fraud_share"):
        add(stat, window="1d")
        add(stat, window="3d", empty=0.0)
        add(stat, window="1d", delay="1d", empty=0.25)
    for stat in ("decayed_count", "decayed_sum"):
        add(stat, half_life="1h")
        add(stat, half_life="3d", include_current=True)
    for stat in ("ratio", "z_score", "first_seen"):
        add(stat)
        add(stat, window="1d", empty=9.0)
    add("time_since_last")
    return found


def fold_all(
    state: FeatureState, items: Sequence[Item], batch_counts: Sequence[int] = (1_000,)
) -> tuple[Floats, list[int]]:
    """Features and lateness of the transactions of a stream, folded in batches of these sizes."""
    features = [np.zeros((0, len(state.features)))]
    late: list[int] = []
    begin = turn = 0
    while begin < len(items):
        count = batch_counts[turn % len(batch_counts)]
        rows, labels = rows_of(items[begin : begin + count])
        state.admit_new(rows)
        folded = state.fold(rows, labels)
        features.append(folded.features[labels.mark == 0])
        late += folded.late[labels.mark == 0].tolist()
        begin += count
        turn += 1
    return np.concatenate(features), late


def same_bits(a: Floats, b: Floats) -> bool:
    """Whether both hold the same numbers to the last bit; any NaN is like another."""
    return a.shape == b.shape and bool(np.all((a == b) | (np.isnan(a) & np.isnan(b))))
