"""A full disk: what is said names what could not be written, and that there is no space left."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentinel.adapters.files import write_table
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.app.builtin.past import keep_past
from sentinel.app.builtin.stream import DemoStream
from sentinel.errors import ConfigError
from sentinel.stored.versions import Artifact
from tests.children import WAIT_S_MAX
from tests.cli.test_run import folder  # noqa: F401 - a fixture
from tests.test_kernel_cache import UNSHARE

# A small file system, filled to the last block, in the place of the folder that is named.
FULL = """
mkdir -p "$FULL" && mount -t tmpfs -o size=1m tmpfs "$FULL" || exit 77
dd if=/dev/zero of="$FULL/fill" bs=4k 2>/dev/null
exec "$@"
"""


def on_full_disk(where: Path, full: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("needs mounts of its own")
    return subprocess.run(
        [*UNSHARE, "bash", "-c", FULL, "bash", sys.executable, "-m", "sentinel", *arguments],
        cwd=where,
        env={**os.environ, "FULL": full, "SENTINEL__MODEL__DIRECTORY": "models"},
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
    )


@contextmanager
def small_files(byte_count: int) -> Iterator[None]:
    """As on a full disk, larger files cannot be written by this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte_count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.integration
@pytest.mark.slow
def test_embedded_servers_that_find_a_full_disk_do_not_point_at_an_empty_log(
    folder: Path,  # noqa: F811
) -> None:
    done = on_full_disk(folder, ".sentinel", "run", "-c", "small.toml", "--plain")

    servers = folder / ".sentinel" / "servers"
    assert f"{servers} cannot be written: No space left on device" in done.stderr
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_kernels_that_cannot_be_kept_are_named(folder: Path) -> None:  # noqa: F811
    kernels = str(folder / "kernels")
    os.environ["NUMBA_CACHE_DIR"], before = kernels, os.environ.get("NUMBA_CACHE_DIR")
    try:
        done = on_full_disk(folder, kernels, "warm", "-c", "small.toml")
    finally:
        del os.environ["NUMBA_CACHE_DIR"]
        if before is not None:
            os.environ["NUMBA_CACHE_DIR"] = before

    assert done.returncode == 2
    assert f"compiled kernels cannot be kept in {kernels}: No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def table() -> pl.DataFrame:
    return pl.DataFrame({"a": np.random.default_rng(0).random(50_000)})


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_table_that_finds_no_room_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with small_files(10_000), pytest.raises(ConfigError, match="cannot be written: File too large"):
        write_table(table(), path)


def test_a_history_that_finds_no_room_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with (
        small_files(10_000),
        pytest.raises(ConfigError, match=r"history.* cannot be written"),
    ):
        keep_past(table(), tmp_path)


def test_a_model_that_finds_no_room_is_refused_in_a_sentence(tmp_path: Path) -> None:
    directory = ModelDirectory(ModelParams(directory=str(tmp_path)))
    with small_files(1_000), pytest.raises(ConfigError, match=r"cannot write model 1.0.0 to"):
        directory.keep(Artifact("1.0.0", "tree\n" * 10_000, {}))
    assert directory.versions() == []


def test_the_built_in_stream_goes_on_when_its_day_cannot_be_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stream = DemoStream(1.0, tmp_path / "stream-day")
    with small_files(0):
        stream._note_position(61, 7)
    assert f"{tmp_path / 'stream-day'}: cannot be written: File too large" in caplog.text
