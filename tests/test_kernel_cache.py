"""A service often has no home and may not write beside its sources: kernels are kept elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel import kernel_cache
from tests.children import WAIT_S_MAX

ROOT = Path(kernel_cache.__file__).parents[1]
UNSHARE = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]
# Everything that is mounted is read-only but for one folder, if any: as a container can be run.
READ_ONLY = """
findmnt -rno TARGET | while read -r at; do mount -o remount,bind,ro "$at" 2>/dev/null; done
[ -z "$TMPDIR" ] || mount -t tmpfs tmpfs "$TMPDIR" || exit 77
exec "$@"
"""


def check_config(where: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Where nothing can be written but temporary files, if there is a folder for them."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("needs mounts of its own")
    command = [sys.executable, "-m", "sentinel", "check-config"]
    return subprocess.run(
        [*UNSHARE, "bash", "-c", READ_ONLY, "bash", *command],
        cwd=where,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
    )


@pytest.mark.slow
def test_without_a_home_and_with_sources_that_are_read_only_kernels_go_to_temporary_files(
    tmp_path: Path,
) -> None:
    done = check_config(tmp_path, HOME="/nonexistent", TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout


@pytest.mark.slow
def test_with_no_folder_at_all_one_sentence_says_which_variable_to_set(tmp_path: Path) -> None:
    done = check_config(tmp_path, HOME="/nonexistent")

    assert done.returncode == 2
    assert done.stderr == (
        "sentinel: no folder for compiled kernels can be written: "
        "set NUMBA_CACHE_DIR to one that can\n"
    )


def test_a_folder_that_others_can_write_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What lies in it is run: somebody else could have put it there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    theirs = tmp_path / f"sentinel-kernels-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    monkeypatch.setenv(kernel_cache.VARIABLE, str(tmp_path / "file" / "kernels"))
    (tmp_path / "file").touch()

    assert not kernel_cache.settle()

    theirs.chmod(0o700)
    assert kernel_cache.settle()
    assert os.environ[kernel_cache.VARIABLE] == str(theirs)


def test_what_an_image_brought_is_taken_along_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image, places = tmp_path / "image", tmp_path / "places"
    places.mkdir()
    (image / "core_1").mkdir(parents=True)
    (image / "core_1" / "kernel.nbc").write_bytes(b"compiled")
    monkeypatch.setattr("tempfile.tempdir", str(places))
    monkeypatch.setenv(kernel_cache.VARIABLE, str(image))
    can_be_written = kernel_cache._can_be_written
    monkeypatch.setattr(
        kernel_cache, "_can_be_written", lambda at: at != image and can_be_written(at)
    )

    assert kernel_cache.settle()

    brought = Path(os.environ[kernel_cache.VARIABLE])
    assert brought.parent == places
    assert (brought / "core_1" / "kernel.nbc").read_bytes() == b"compiled"
    assert kernel_cache.count() == 1
