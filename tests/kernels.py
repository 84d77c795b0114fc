"""Where the tests keep compiled kernels: in a folder named by the hash of their sources and Python.

And of the place of the sources, by which numba finds them: what another checkout has compiled is of
no use here.

numba looks at the file of a kernel and not at what that file imports, so that a constant changed in
another module leaves a stale kernel behind. In a folder for each state of the sources it cannot,
and a state that was there before, of another branch perhaps, is compiled already.

`python -m tests` compiles what is missing there: once, before there are several processes that each
would, and not under a tracer, which makes a minute of half of one.
"""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sentinel"
KEPT = ROOT / ".cache" / "kernels"
KEPT_COUNT_MAX = 10  # of 15 MB each; of several checkouts, where they share the folder
VARIABLE = "NUMBA_CACHE_DIR"
_USES_NUMBA = re.compile(r"^(from|import) numba\b", re.MULTILINE)


def folder() -> Path:
    """Of the sources as they are now."""
    return _place() / "all"


def warmed() -> Path:
    """Where there is what `sentinel warm` has compiled, and nothing that a test has added."""
    return _place() / "warm"


def _place() -> Path:
    digest = hashlib.sha256(f"{sys.implementation.cache_tag}\0{ROOT}\0".encode())
    for path in sorted(sources()):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return KEPT / digest.hexdigest()[:16]


def sources() -> set[Path]:
    """The modules that import numba, and all that they import: their constants are compiled in."""
    coming = [path for path in PACKAGE.rglob("*.py") if _USES_NUMBA.search(path.read_text())]
    found: set[Path] = set()
    while coming:
        path = coming.pop()
        if path not in found:
            found.add(path)
            coming += _imported(path)
    return found


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] == PACKAGE.name:
                at = ROOT.joinpath(*name.split("."))
                yield from (p for p in (at.with_suffix(".py"), at / "__init__.py") if p.exists())


def settle() -> None:
    """Name the folder to numba, and to every child; where one is named already, it stays."""
    if not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(folder())


def warm() -> None:
    """Compile what is missing, and forget the places that were not used for longest."""
    settle()
    at, pristine = Path(os.environ[VARIABLE]), warmed()
    if at != folder():
        _compile(at)
        return
    _compile(pristine)
    if not at.exists():
        half = at.with_name("half")
        shutil.copytree(pristine, half, dirs_exist_ok=True)
        half.replace(at)
    os.utime(_place())
    by_use = sorted(KEPT.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in by_use[KEPT_COUNT_MAX:]:
        shutil.rmtree(old)


def _compile(at: Path) -> None:
    command = [sys.executable, "-m", "sentinel", "warm"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: str(at)}, check=True)
