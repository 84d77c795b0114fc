"""Which Python the tests run on, where there are several."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

CHOICE = Path(__file__).resolve().parents[1] / ".ci" / "python"
IS_NEW, IS_OLD, IS_NO_PYTHON = "exit 0", "exit 1", "exit 127"


def chosen(folder: Path, found: Iterable[tuple[str, str]]) -> str:
    """Where these are installed, and nothing else."""
    for name, answer in found:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
        (folder / name).chmod(0o755)
    command = ["/bin/sh", str(CHOICE)]
    environment = {"PATH": str(folder), "PYENV_ROOT": str(folder / "pyenv")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"python3": IS_NEW, "python3.13": IS_NEW}, "python3"),
        ({"python3": IS_OLD, "python3.13": IS_NEW}, "python3.13"),
        ({"python3": IS_OLD, "python3.13": IS_NO_PYTHON, "python3.12": IS_NEW}, "python3.12"),
        (
            {"python3": IS_OLD, "pyenv/versions/3.12.1/bin/python": IS_NEW},
            "pyenv/versions/3.12.1/bin/python",
        ),
        ({"python3": IS_OLD, "python3.13": IS_NO_PYTHON}, "python3"),
        ({}, "python3"),  # make says what is missing
    ],
)
def test_a_newer_python_is_taken_where_one_works_and_python3_is_old(
    tmp_path: Path, found: dict[str, str], wanted: str
) -> None:
    assert chosen(tmp_path, found.items()) == wanted
