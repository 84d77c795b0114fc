"""Where compiled kernels are kept: settled before numba is imported, so that there is a place.

numba keeps them in NUMBA_CACHE_DIR, else beside the sources, else in the user's cache folder; where
it can write to none of them, importing a kernel fails. A service in a container often has no home
and a file system that is read-only: then they go to a private folder among the temporary files,
with what an image brought along.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
_SOURCES = Path(__file__).parent


def settle() -> bool:
    """Name a folder that can be written to numba; False when there is none."""
    given = os.environ.get(VARIABLE, "")
    if given and _can_be_written(Path(given)):
        return True
    if not given and _is_writable_tree():
        return True
    candidates = [_private()] if given else [_of_user(), _private()]
    for folder in candidates:
        if folder is not None and _can_be_written(folder):
            if given:
                _bring(Path(given), folder)
            os.environ[VARIABLE] = str(folder)  # of children, too
            return True
    return False


def folder() -> str:
    """Where compiled kernels go, for a person to read."""
    return os.environ.get(VARIABLE) or f"__pycache__ below {_SOURCES}"


def count(function: str = "") -> int:
    """How many kernels are kept there, each for one kind of arguments: all, or of one function."""
    given = os.environ.get(VARIABLE)
    pattern = f"*.{function}-*.nbc" if function else "*.nbc"
    return sum(1 for _ in (Path(given) if given else _SOURCES).rglob(pattern))


def _is_writable_tree() -> bool:
    """Whether numba can write beside every source: nowhere else would it look for what it wrote."""
    places = {file.parent / "__pycache__" for file in _SOURCES.rglob("*.py")}
    return all(os.access(at if at.is_dir() else at.parent, os.W_OK | os.X_OK) for at in places)


def _can_be_written(at: Path) -> bool:
    try:
        at.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=at):
            return True
    except OSError:
        return False


def _of_user() -> Path | None:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "sentinel-kernels" if os.path.isabs(home) else None


def _private() -> Path | None:
    """A folder that is this user's alone: what lies in it will be run."""
    try:
        at = Path(tempfile.gettempdir()) / f"sentinel-kernels-{os.getuid()}"
        at.mkdir(mode=0o700, exist_ok=True)
        found = at.lstat()
    except OSError:
        return None
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return at if is_ours and not found.st_mode & 0o077 else None


def _bring(source: Path, at: Path) -> None:
    """Copy what was compiled for an image, unless that was done before."""
    mark = at / "brought"
    if mark.exists() or not source.is_dir():
        return
    try:
        shutil.copytree(source, at, dirs_exist_ok=True)
        mark.touch()
    except OSError:
        return  # a full disk, perhaps: what is missing is compiled
