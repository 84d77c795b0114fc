"""Kernels are compiled by two processes where there are none, and by one where the other fails."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from sentinel import kernel_cache
from sentinel.app import warming
from sentinel.config import load


def test_the_other_process_compiles_its_part() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sentinel.app.warming"], capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("program", ["pass", "raise SystemExit(1)"])
def test_whatever_becomes_of_it_everything_is_compiled_at_the_end(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Sequence[str]] = []

    start = subprocess.Popen

    def another(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        begun.append(command)
        return start([sys.executable, "-c", program], **options)

    taken: list[str] = []
    steps = [(name, lambda name=name: taken.append(name)) for name in ("a", *warming._BESIDE, "b")]
    monkeypatch.setattr(warming, "_scoring", lambda config: steps)
    monkeypatch.setattr(warming, "count", lambda function: 0)
    monkeypatch.setattr(subprocess, "Popen", another)

    warming.warm_scoring(load(None), lambda what, share: None, lambda: taken.append("meanwhile"))

    assert taken == ["a", "b", "meanwhile", *warming._BESIDE]
    assert begun == [[sys.executable, "-P", "-m", "sentinel.app.warming"]]


def test_where_kernels_are_there_nobody_else_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "_scoring", lambda config: [])
    monkeypatch.setattr(warming, "count", lambda function: 1)
    monkeypatch.setattr(subprocess, "Popen", None)

    warming.warm_scoring(load(None), lambda what, share: None)


def test_every_step_that_another_process_takes_is_one_of_scoring() -> None:
    assert set(warming._BESIDE) <= {name for name, _ in warming._scoring(load(None))}


def test_what_takes_longest_is_among_what_another_process_compiles() -> None:
    """By its name it is known whether there is anything to do; the tests have compiled it."""
    before = kernel_cache.count(warming._LONGEST)
    assert before >= 2, "of entities that keep events, and of those that keep tiles"
    assert before < kernel_cache.count()
    assert kernel_cache.count("no_such_function") == 0
