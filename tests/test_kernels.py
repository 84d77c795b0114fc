"""The folder of compiled kernels follows the sources that are compiled into them."""

import os
import shutil
from pathlib import Path

import pytest

from tests import kernels


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small product: a kernel, a constant that it takes from elsewhere, and a bystander."""
    package = tmp_path / "sentinel"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core" / "__init__.py").write_text("")
    (package / "core" / "kernel.py").write_text(
        "import numba\n\nfrom sentinel.core import limits\nfrom sentinel.words import NAME\n"
    )
    (package / "core" / "limits.py").write_text("from sentinel.numbers import MAX\n")
    (package / "numbers.py").write_text("MAX = 3\n")
    (package / "words.py").write_text("NAME = 'a'\n")
    (package / "bystander.py").write_text("from sentinel.core import kernel\n")
    for name, path in {"ROOT": tmp_path, "PACKAGE": package, "KEPT": tmp_path / "kept"}.items():
        monkeypatch.setattr(kernels, name, path)
    return package


@pytest.mark.parametrize("name", ["core/kernel.py", "core/limits.py", "numbers.py", "words.py"])
def test_a_change_of_what_a_kernel_imports_near_or_far_is_another_folder(
    tree: Path, name: str
) -> None:
    before = kernels.folder()

    changed = tree / name
    changed.write_text(changed.read_text() + "\nMORE = 1\n")

    assert kernels.folder() != before


def test_what_no_kernel_imports_and_when_files_were_written_change_nothing(tree: Path) -> None:
    before = kernels.folder()

    (tree / "bystander.py").write_text("")
    shutil.copy(tree / "words.py", tree / "copy")
    (tree / "copy").replace(tree / "words.py")

    assert kernels.folder() == before


def test_a_folder_that_is_named_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "/somewhere")

    kernels.settle()

    assert os.environ[kernels.VARIABLE] == "/somewhere"


def test_every_module_that_compiles_is_among_the_sources() -> None:
    """Also one that would get its decorator from elsewhere."""
    names = ("njit(", "njit\n", "vectorize(", "intrinsic")
    found = {
        path
        for path in kernels.PACKAGE.rglob("*.py")
        if any(
            f"@{name}" in path.read_text() or f"@numba.{name}" in path.read_text() for name in names
        )
    }

    assert len(found) > 10
    assert found <= kernels.sources()
