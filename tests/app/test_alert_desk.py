"""The built-in stream: what is said of its transactions, by whom, and when."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sentinel.app.builtin.investigators import NAMES, votes_on_alert
from sentinel.app.builtin.stream import CHARGEBACK_DELAY_MS, DAY_MS, HISTORY_DAY_COUNT, DemoStream
from sentinel.codec.records import decode_feedback, encode
from sentinel.records import Feedback
from sentinel.simulation.handbook import Day, SimulationParams, days

HOUR_MS = 3_600_000


def alert(number: int, **others: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"T{number}",
        "event_time_ms": 1_527_854_551_000 + number,
        "account": "C448",
        "entities": {"terminal": "M8104"},
        "action": "review",
        "explored": False,
        **others,
    }


def test_some_of_them_look_at_an_alert_within_hours_and_say_the_same_each_time() -> None:
    for number in range(200):
        found = votes_on_alert(alert(number), is_fraud=number % 2 == 0)

        assert found == votes_on_alert(alert(number), is_fraud=number % 2 == 0)
        assert 2 <= len({one.who for one in found}) == len(found) <= 3
        for voice in found:
            assert voice.who in NAMES
            assert voice.source == "investigator"
            assert 0 <= voice.observed_ms - alert(number)["event_time_ms"] <= 8 * HOUR_MS
            assert voice.entities == {"account": "C448", "terminal": "M8104"}
            assert decode_feedback(encode(voice)) == voice


def test_they_are_mostly_right_but_for_one_who_is_careless() -> None:
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for number in range(4_000):
        is_fraud = number % 2 == 0
        for voice in votes_on_alert(alert(number), is_fraud=is_fraud):
            said[voice.who] += 1
            right[voice.who] += (voice.label == "fraud") == is_fraud

    shares = {name: right[name] / said[name] for name in NAMES}
    assert shares.pop(NAMES[-1]) == pytest.approx(0.5, abs=0.05)
    assert min(shares.values()) > 0.75


@pytest.mark.parametrize(
    ("others", "channel"),
    [({}, "review"), ({"action": "block"}, "block"), ({"explored": True}, "explored")],
)
def test_a_vote_says_how_its_transaction_came_to_be_looked_at(
    others: dict[str, Any], channel: str
) -> None:
    found = votes_on_alert(alert(1, **others), is_fraud=True)

    assert {one.selected_by for one in found} == {channel}


class Sent:
    """What a sender was given, with the event time of the newest transaction before it."""

    def __init__(self, stream: DemoStream) -> None:
        self.stream = stream
        self.voices: list[tuple[int, Feedback]] = []

    async def transactions(self, accounts: Sequence[str], values: Sequence[bytes]) -> None:
        assert len(accounts) == len(values)

    async def feedback(self, voices: Sequence[Feedback]) -> None:
        self.voices += [(self.stream.now_ms, voice) for voice in voices]


def first_days(count: int) -> list[Day]:
    return list(days(SimulationParams(customer_count=100, terminal_count=300, day_count=count)))


async def play(stream: DemoStream, played: Sequence[Day]) -> Sent:
    sent = Sent(stream)
    for day in played:
        stream._remember_frauds(day)
        values = [b"{}"] * len(day)
        await stream._play(day, values, sent, -1e9, 0)  # type: ignore[arg-type]
    return sent


async def test_every_voice_comes_when_it_is_observed_whoever_has_it_first(tmp_path: Path) -> None:
    """A tick of a stream that is late sends all that is due: here, a day at once."""
    stream = DemoStream(1e6, tmp_path / "stream-day")
    played = first_days(20)
    at_ms = int(played[3].event_time_ms[0])
    votes = votes_on_alert(alert(5, event_time_ms=at_ms), is_fraud=True)
    stream.say(reversed(votes))

    sent = await play(stream, played)

    for now_ms, voice in sent.voices:
        assert now_ms - DAY_MS < voice.observed_ms <= now_ms
    for begin in range(len(sent.voices) - 1):
        same_tick = sent.voices[begin][0] == sent.voices[begin + 1][0]
        if same_tick:
            assert sent.voices[begin][1].observed_ms <= sent.voices[begin + 1][1].observed_ms
    frauds = {
        f"T{day.transaction_id[i]}": int(day.event_time_ms[i]) + CHARGEBACK_DELAY_MS
        for day in played
        for i in day.is_fraud.nonzero()[0].tolist()
    }
    charged = {v.transaction_id: v.observed_ms for _, v in sent.voices if v.source == "chargeback"}
    end_ms = int(played[-1].event_time_ms[-1])
    assert charged == {one: known_ms for one, known_ms in frauds.items() if known_ms <= end_ms}
    assert len(charged) > 5
    assert [voice for _, voice in sent.voices if voice.source == "investigator"] == sorted(
        votes, key=lambda one: one.observed_ms
    )


async def test_it_knows_what_was_fraud_lately_and_says_nothing_of_the_rest(tmp_path: Path) -> None:
    stream = DemoStream(1e6, tmp_path / "stream-day")
    played = first_days(14)
    await play(stream, played)

    for day in played[4:]:
        for i, is_fraud in enumerate(day.is_fraud.tolist()):
            name, time_ms = f"T{day.transaction_id[i]}", int(day.event_time_ms[i])
            assert stream.truth(name, time_ms) == is_fraud
    assert stream.truth("T1", int(played[3].event_time_ms[0])) is None, "it is long ago"
    assert stream.truth("T1", 0) is None, "it is not of the stream"


def test_its_time_begins_where_the_history_ends_or_the_last_run_did(tmp_path: Path) -> None:
    begun_ms = DemoStream(1.0, tmp_path / "none").now_ms
    (tmp_path / "stream-day").write_text("75\n")

    later_ms = DemoStream(1.0, tmp_path / "stream-day").now_ms

    first_ms = int(next(days(SimulationParams())).event_time_ms[0])
    assert 0 <= first_ms + HISTORY_DAY_COUNT * DAY_MS - begun_ms < DAY_MS
    assert later_ms - begun_ms == 15 * DAY_MS
