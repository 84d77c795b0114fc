"""Commands whose output is closed, full, or of another encoding; and a view that nobody reads."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sentinel.cli.streams import Display
from tests.children import WAIT_S_MAX
from tests.cli.test_run import await_that, folder  # noqa: F401 - a fixture

SENTINEL = [sys.executable, "-m", "sentinel"]
RUN = [*SENTINEL, "run", "-c", "small.toml", "--stream", "--rate", "50", "--duration", "4"]
RUN += ["--no-archive", "--report", "r.json"]


def broken_pipe() -> int:
    """The end of a pipe that nobody reads from."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def in_shell(command: list[str], tail: str, where: Path, **environment: str) -> tuple[int, str]:
    """Its exit code and what it says on standard error, run by a shell with such redirections."""
    done = subprocess.run(
        ["bash", "-c", f'"$0" "$@" {tail}', *command],
        cwd=where,
        env={**os.environ, "SENTINEL__MODEL__DIRECTORY": "models", **environment},
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=WAIT_S_MAX,
    )
    return done.returncode, done.stderr


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize(
    "tail",
    ["| head -1", ">&-", ">&- 2>&- <&-", ">/dev/full", ">out.txt"],
    ids=["reader gone", "closed", "all closed", "full", "ascii"],
)
def test_scoring_goes_on_whatever_becomes_of_what_it_shows(folder: Path, tail: str) -> None:  # noqa: F811
    ascii_only = {"LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ascii_only["PYTHONIOENCODING"] = "ascii"

    code, said = in_shell(RUN, tail, folder, **(ascii_only if "out" in tail else {}))

    assert code == 0, said
    assert "Traceback" not in said
    report = json.loads((folder / "r.json").read_text())
    assert report["decisions"] > 0
    if "out" in tail:
        assert "decisions ? " in (folder / "out.txt").read_text(encoding="ascii")


@pytest.mark.parametrize("command", [["check-config"], ["--help"], ["run", "--help"]])
def test_a_command_whose_reader_has_gone_ends_quietly(command: list[str]) -> None:
    writing = broken_pipe()

    done = subprocess.run(
        [*SENTINEL, *command], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=WAIT_S_MAX
    )

    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_command_that_cannot_write_says_so_in_a_line(tmp_path: Path) -> None:
    code, said = in_shell([*SENTINEL, "check-config"], ">/dev/full", tmp_path)

    assert code == 2
    assert said == "sentinel: what is written: No space left on device\n"


def test_a_view_that_is_held_up_drops_what_it_cannot_show() -> None:
    """As by a pager whose user has gone for lunch: whoever writes never waits."""
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        display = Display(stream)
        text = "x" * 1_000 + "\n"
        for _ in range(20_000):  # twenty megabytes; the pipe takes 64 KB
            display.file.write(text)
        display.drain()
        held_up = [one for one in threading.enumerate() if one.name == "display"]
        assert held_up

        taken = os.read(reading, 100_000)

        assert taken.startswith(text.encode())
        os.close(reading)
        await_that(lambda: not is_writing(display, held_up), "it writes for ever")


def is_writing(display: Display, threads: list[threading.Thread]) -> bool:
    """Whether they still do, though they are told to end as soon as there is room to say so."""
    display.drain()
    return any(one.is_alive() for one in threads)


def test_what_an_encoding_lacks_is_replaced() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="ascii") as stream:
        display = Display(stream)
        display.file.write("80 % · €\n")
        display.drain()
    assert os.read(reading, 100) == b"80 % ? ?\n"
    os.close(reading)


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    stream = io.StringIO()
    display = Display(stream)
    display.file.write("a")
    display.drain()
    assert stream.getvalue() == "a"
