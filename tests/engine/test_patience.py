"""What fails and is tried again is said once, and once more when it is over."""

import logging

import pytest

from sentinel.engine.patience import Patience


def test_waits_double_up_to_a_limit_and_begin_anew_when_it_is_over() -> None:
    patience = Patience("x", wait_s=0.5, wait_s_max=3.0)

    waits = [patience.wait_s(ValueError()) for _ in range(5)]
    patience.over()

    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert patience.wait_s(ValueError()) == 0.5


def test_a_span_of_failures_is_said_at_its_beginning_and_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now_s = iter([100.0, 142.0, 200.0])
    patience = Patience("the registry is asked again", clock_s=lambda: next(now_s))

    patience.over()
    for text in ("away", "still away", "gone"):
        patience.wait_s(ValueError(text))
    patience.over()
    patience.over()
    patience.wait_s(ValueError("again"))

    assert caplog.messages == [
        "the registry is asked again: away",
        "the registry is asked again: that is over after 42 s",
        "the registry is asked again: again",
    ]


def test_what_lasts_is_a_trouble_and_what_is_over_in_seconds_is_none() -> None:
    patience = Patience("training waits")
    for _ in range(3):  # 1, 2 and 4 seconds
        patience.wait_s(ValueError("no answer"))
    assert patience.trouble == ""

    patience.wait_s(ValueError("still none"))
    assert patience.trouble == "training waits: still none"

    patience.over()
    assert patience.trouble == ""
    patience.wait_s(ValueError("no answer"))
    assert patience.trouble == ""
