"""A failure is a seed: the same seed makes the same stream and the same strikes."""

import tomllib

import pytest

from sentinel import config as configuration
from sentinel.adapters.memory.cluster import MemoryRecord
from sentinel.codec.transactions import TransactionDecoder
from tests.faults.plan import FAULTS, plan
from tests.faults.strikes import BLOWS
from tests.faults.workload import FEATURE_COUNT, POISON, TOML, Workload


def test_a_seed_makes_the_same_strikes_again_and_another_seed_others() -> None:
    fault = FAULTS["storm"]

    assert plan(fault, 7, 20) == plan(fault, 7, 20)
    assert plan(fault, 7, 20) != plan(fault, 8, 20)
    assert plan(fault, 7, 20)[:5] == plan(fault, 7, 5)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_strikes_within_its_bounds(name: str) -> None:
    fault = FAULTS[name]

    for strike in plan(fault, 1, 50):
        assert fault.wait_s[0] <= strike.wait_s <= fault.wait_s[1]
        assert fault.hold_s[0] <= strike.hold_s <= fault.hold_s[1]
        assert 0 <= strike.target < max(fault.instance_count, 3)
        assert 0 <= strike.share < 1


def test_every_fault_has_its_blow() -> None:
    assert FAULTS.keys() == BLOWS.keys()


def test_a_seed_makes_the_same_stream_again() -> None:
    assert Workload(3).chunk(9) == Workload(3).chunk(9)
    assert Workload(3).chunk(9).values != Workload(4).chunk(9).values


def test_the_stream_has_everything_in_it_that_the_contract_speaks_of() -> None:
    chunks = [Workload(1).chunk(number) for number in range(60)]
    voices = [voice for chunk in chunks for voice in chunk.voices]
    values = [value for chunk in chunks for value in chunk.values]

    assert sum(chunk.poison_count for chunk in chunks) == sum(v in POISON for v in values) > 0
    assert {voice.label for voice in voices} == {"fraud", "genuine", "perhaps"}
    again = {voice.transaction_id for voice in voices if voice.label == "genuine"}
    assert again <= {voice.transaction_id for voice in voices if voice.label == "fraud"}


def test_poison_and_nothing_else_is_refused() -> None:
    config = configuration.build(tomllib.loads(TOML))
    values = [*Workload(1).chunk(3).values, *POISON]
    records = [
        MemoryRecord(offset, 1_800_000_000_000, b"key", value, ())
        for offset, value in enumerate(values)
    ]

    _, rejected = TransactionDecoder(config.schema).decode([(0, records)])

    expected = [i for i, value in enumerate(values) if value in POISON]
    assert sorted(one.index for one in rejected) == expected
    assert len(config.features) == FEATURE_COUNT
