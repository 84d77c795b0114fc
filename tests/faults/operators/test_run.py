"""What a strike found is told rightly: how a process ended, the verdict, the row for the docs."""

from dataclasses import asdict

import pytest
from aiokafka.partitioner import murmur2

from sentinel.core.partitioning import PartitionOf
from tests.faults.operators.endings import ending_of, healths
from tests.faults.operators.log import by_crc32, by_murmur2
from tests.faults.operators.oracle import Judgement
from tests.faults.operators.run import HEAD, SCENES, Outcome, row, said
from tests.faults.operators.test_kafka import SEEDS
from tests.faults.operators.turn import Turn
from tests.faults.plan import FAULTS

SENTENCE = "sentinel: topic a-transactions has 8 partitions, decisions has 4\n"


def turn_of(fault: str = "eviction", number: int = 1) -> Turn:
    return Turn.of(None, fault, number)  # type: ignore[arg-type] # nothing here starts anything


def strike(verdict: str, recovery_s: float | None = None, *, lost: int = 0) -> dict[str, object]:
    return {
        "number": 1,
        "variant": "running",
        "verdict": verdict,
        "judgements": [asdict(Judgement(sent=1_000, lost=lost))],
        "endings": [{"code": 2, "sentence": "why"}] if verdict == "stopped" else [],
        "offences": ["2 transactions without a decision"] if verdict == "wrong" else [],
        "notes": [],
        "early": 0,
        "recovery_s": recovery_s,
    }


def test_one_sentence_and_a_code_are_a_proper_end() -> None:
    found = ending_of(2, f"INFO at work\n{SENTENCE}", "a-transactions")

    assert found.offences == []
    assert found.sentence == "topic a-transactions has 8 partitions, decisions has 4"


@pytest.mark.parametrize(
    ("code", "text", "offence"),
    [
        (0, SENTENCE, "exit code 0"),
        (-9, SENTENCE, "signal 9"),
        (1, f"Traceback (most recent call last):\nIndexError: 5\n{SENTENCE}", "IndexError: 5"),
        (1, "Traceback (most recent call last):\nIndexError: 5\n", "0 sentences"),
        (2, "", "0 sentences"),
        (2, SENTENCE * 2, "2 sentences"),
        (1, "sentinel: TopicPartition(topic='a-transactions'): no\n", "an object of Python"),
        (2, "sentinel: it does not work\n", "does not say 'a-transactions'"),
    ],
)
def test_any_other_end_offends(code: int, text: str, offence: str) -> None:
    assert any(offence in one for one in ending_of(code, text, "a-transactions").offences)


def test_health_is_read_from_what_a_plain_run_says() -> None:
    text = "1 decisions · lag 0 · health ok\n2 · health degraded (the state store is away)\n"
    assert healths(text) == ["ok", "degraded"]


def test_every_variant_has_its_turn_and_a_number_makes_the_same_turn_again() -> None:
    assert {turn_of(number=n).choose("a", "b", "c") for n in range(1, 4)} == {"a", "b", "c"}
    assert turn_of(number=7).draw.random() == turn_of(number=7).draw.random()
    assert turn_of(number=7).draw.random() != turn_of(number=8).draw.random()


def test_a_verdict_is_exact_or_stopped_unless_something_offends() -> None:
    exact, stopped, wrong = turn_of(), turn_of(), turn_of()
    stopped.is_over = wrong.is_over = True
    wrong.offend("a count is lost")

    assert [turn.verdict for turn in (exact, stopped, wrong)] == ["exact", "stopped", "wrong"]


def test_partitions_are_those_of_the_clients() -> None:
    """CRC32 by the published check value; murmur2 as Kafka's own clients and Sentinel's."""
    assert by_crc32(b"123456789", 2**32) == 0xCBF43926
    assert by_murmur2(b"card-1", 7) == (murmur2(b"card-1") & 0x7FFFFFFF) % 7
    names = [f"card-{i}" for i in range(200)]
    assert [by_murmur2(name.encode(), 4) for name in names] == [PartitionOf(4)(n) for n in names]


def test_operators_and_the_world_have_different_faults() -> None:
    assert not SCENES.keys() & FAULTS.keys()


def test_only_faults_that_there_are_wait_to_be_mended() -> None:
    assert SEEDS.keys() <= SCENES.keys()


def test_a_row_has_as_many_cells_as_the_head() -> None:
    outcome = Outcome("eviction", 1, [strike("exact", 0.5), strike("exact", 1.5)])

    assert row(outcome) == (
        "| eviction | Kafka | 2 | 2,000 | 0 | 0 | 0 | 0 | 0.5-1.5, median 1.0 |"
    )
    assert row(outcome).count("|") == HEAD.splitlines()[0].count("|")
    assert outcome.is_kept


def test_stops_are_in_the_row_and_what_is_wrong_is_not_kept() -> None:
    stopped = Outcome("eviction", 1, [strike("stopped")])
    wrong = Outcome("eviction", 1, [strike("wrong", lost=2)])
    broken = Outcome("eviction", 1, [strike("exact")], ["Traceback\nTimeoutError: 90 s"])

    assert row(stopped).endswith("| 1 stopped with a sentence |")
    assert stopped.is_kept
    assert "| 1,000 | 2 | 0 | 0 | 0 |" in row(wrong)
    assert not wrong.is_kept
    assert not broken.is_kept
    assert not Outcome("eviction", 1).is_kept
    assert "    offence: 2 transactions without a decision" in said(wrong)
    assert said(broken)[-1] == "eviction: broken off: TimeoutError: 90 s"
