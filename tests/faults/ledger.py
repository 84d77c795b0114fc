"""What the outside sees of a run: which records were decided, how often, and in which words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.workload import ACCOUNT_FEATURE_COUNT, UNLABELLED_FEATURE_COUNT


class Decision(NamedTuple):
    """One decision, as far as it is compared: hashes of its bytes, or of parts of them.

    `account` covers what follows from the account's own log; `unlabelled` also the features of
    shared entities; `whole` every byte but the version of the configuration.
    """

    partition: int
    offset: int
    account: int
    unlabelled: int
    whole: int
    is_degraded: bool  # decided without what the store knew


def parsed(value: bytes) -> Decision:
    """Read a decision without a JSON parser, which would take most of the time there is."""
    head, _, rest = value.partition(b',"score":')
    name = head[head.index(b':"') + 2 : head.index(b'",')]
    place, _, offset = name.rpartition(b"-")
    begin = rest.index(b'"degraded":[')
    end = rest.index(b"]", begin)
    features = rest[rest.index(b"[", end) + 1 : rest.index(b"]", end + 1)].split(b",")
    version = rest.index(b'"config_version"')
    return Decision(
        partition=int(place.rpartition(b"-")[2]),
        offset=int(offset),
        account=hash((head, *features[:ACCOUNT_FEATURE_COUNT])),
        unlabelled=hash((head, *features[:UNLABELLED_FEATURE_COUNT])),
        whole=hash((head, rest[:version])),
        is_degraded=b'"state"' in rest[begin:end],
    )


@dataclass(slots=True)
class Ledger:
    """Everything decided or buried, by partition and offset."""

    first: dict[tuple[int, int], Decision] = field(default_factory=dict)
    buried: dict[tuple[int, int], int] = field(default_factory=dict)  # hash of its bytes
    frontiers: dict[int, int] = field(default_factory=dict)  # all below are decided or buried
    repeated: int = 0
    differing: int = 0  # in any byte
    differing_account: int = 0
    samples: list[tuple[bytes, ...]] = field(default_factory=list)  # of differing repeats

    def decided(self, value: bytes) -> None:
        decision = parsed(value)
        at = (decision.partition, decision.offset)
        before = self.first.setdefault(at, decision)
        if before is decision:
            self._advance(decision.partition)
            return
        self.repeated += 1
        if before.is_degraded or decision.is_degraded:
            # What the store knew was asked for once in vain: then the words may differ.
            if before.is_degraded:
                self.first[at] = decision
            return
        self.differing += before.whole != decision.whole
        self.differing_account += before.account != decision.account
        if before.account != decision.account and len(self.samples) < 20:
            self.samples.append((value,))

    def bury(self, headers: Iterable[tuple[str, bytes]], value: bytes | None, topic: str) -> None:
        facts = dict(headers)
        if facts["sentinel.topic"] != topic.encode():
            return  # feedback that nobody can use
        at = (int(facts["sentinel.partition"]), int(facts["sentinel.offset"]))
        self.buried[at] = hash(value)
        self._advance(at[0])

    def _advance(self, partition: int) -> None:
        frontier = self.frontiers.get(partition, 0)
        while (partition, frontier) in self.first or (partition, frontier) in self.buried:
            frontier += 1
        self.frontiers[partition] = frontier

    @property
    def handled(self) -> int:
        """Records below the frontiers."""
        return sum(self.frontiers.values())


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run held against the oracle's; everything counts records or blobs."""

    lost: int  # records that nothing was said of
    misjudged: int  # decided though not usable, or buried though usable
    differing_account: int  # decisions whose own features are not the oracle's
    differing_unlabelled: int
    degraded: int
    blobs: int
    blobs_missing: int
    blobs_differing: int
    examples: tuple[str, ...] = ()


def compare(
    found: Ledger,
    expected: Ledger,
    ends: Mapping[int, int],
    found_blobs: Mapping[str, bytes],
    expected_blobs: Mapping[str, bytes],
) -> Comparison:
    """Hold what happened under fire against what should have."""
    lost = [
        (partition, offset)
        for partition, end in ends.items()
        for offset in range(end)
        if (partition, offset) not in found.first and (partition, offset) not in found.buried
    ]
    common = found.first.keys() & expected.first.keys()
    pairs = [(found.first[at], expected.first[at]) for at in common]
    pairs = [(a, b) for a, b in pairs if not (a.is_degraded or b.is_degraded)]
    account = [a for a, b in pairs if a.account != b.account]
    missing = expected_blobs.keys() ^ found_blobs.keys()
    differing = sorted(
        key
        for key in expected_blobs.keys() & found_blobs.keys()
        if expected_blobs[key] != found_blobs[key]
    )
    return Comparison(
        lost=len(lost),
        misjudged=len(found.first.keys() ^ expected.first.keys())
        + len(found.buried.items() ^ expected.buried.items())
        - len(lost),
        differing_account=len(account),
        differing_unlabelled=sum(a.unlabelled != b.unlabelled for a, b in pairs),
        degraded=sum(decision.is_degraded for decision in found.first.values()),
        blobs=len(expected_blobs),
        blobs_missing=len(missing),
        blobs_differing=len(differing),
        examples=tuple(
            [f"lost {at}" for at in lost[:5]]
            + [f"account part of {a.partition}-{a.offset}" for a in sorted(account)[:5]]
            + [f"blob {key}" for key in sorted(missing)[:5]]
            + [
                f"blob {key}: {found_blobs[key].hex()}, expected {expected_blobs[key].hex()}"
                for key in differing[:5]
            ]
        ),
    )
