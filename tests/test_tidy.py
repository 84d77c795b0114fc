"""The house style, as far as a machine can read it."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sentinel"
CORE = PACKAGE / "core"

FUNCTION_LINE_COUNT_MAX = 70  # one screen; the number is TigerStyle's
MODULE_LINE_COUNT_MAX = 400  # near the 90th percentile of the codebases we learned from

IMPURE = {"asyncio", "datetime", "logging", "os", "random", "threading", "time"}

# Where each third-party client may be imported: a module, or a folder when it ends in a slash.
HOMES_OF = {
    "aiokafka": ("adapters/kafka/",),
    "lightgbm": ("model.py",),
    "msgspec": ("codec/",),
    "orjson": ("codec/",),
    "polars": (
        "adapters/archive/",
        "archive/",
        "adapters/files.py",
        "adapters/voice_files.py",
        "engine/archive/labels.py",
        "engine/archive/examples.py",
        "app/builtin/past.py",
        "cli/archive.py",
        "operations/why.py",
        "cli/consensus.py",
        "cli/history.py",
        "ports/archive.py",  # for its types only
    ),
    "redis": ("adapters/redis/",),
    "uvloop": ("cli/archive.py", "cli/run.py", "cli/produce.py"),
}

every_module = pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
every_core_module = pytest.mark.parametrize(
    "path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of the packages that `tree` imports, anywhere in it."""
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    from_ = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | from_}


def called(tree: ast.AST) -> set[str]:
    """Plain names that are called; methods do not count."""
    calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return {function.id for function in calls if isinstance(function, ast.Name)}


@every_module
def test_a_module_says_what_it_is_for(path: Path) -> None:
    source = path.read_text()
    assert not source.strip() or ast.get_docstring(ast.parse(source))


@every_module
def test_a_module_fits_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINE_COUNT_MAX


@every_module
def test_a_function_fits_on_one_screen(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            line_count = node.end_lineno - node.lineno + 1
            assert line_count <= FUNCTION_LINE_COUNT_MAX, f"{node.name}: {line_count} lines"


@every_module
def test_nothing_swallows_every_error(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            assert names.isdisjoint({"Exception", "BaseException"}), f"line {node.lineno}"


@every_module
def test_a_third_party_client_has_one_home(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    for library in imported(tree_of(path)) & HOMES_OF.keys():
        homes = HOMES_OF[library]
        assert any(name == home or (home[-1] == "/" and name.startswith(home)) for home in homes)


@every_module
def test_nothing_is_pickled_and_nothing_is_left_to_do(path: Path) -> None:
    source = path.read_text()
    assert imported(ast.parse(source)).isdisjoint({"pickle", "cloudpickle", "dill", "shelve"})
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", source)


@every_module
def test_nobody_asks_redis_for_all_its_keys(path: Path) -> None:
    """KEYS holds a Redis of a hundred million keys for a minute; SCAN does not."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            assert not re.match(r"KEYS\b", text), f"line {node.lineno}"
            assert "redis.call('KEYS'" not in text, f"line {node.lineno}"
            assert 'redis.call("KEYS"' not in text, f"line {node.lineno}"


@every_module
def test_only_the_command_line_talks_to_a_person(path: Path) -> None:
    if path.parent.name != "cli":
        assert "print" not in called(tree_of(path))


@every_module
def test_nothing_depends_on_a_hash_that_differs_from_run_to_run(path: Path) -> None:
    assert "hash" not in called(tree_of(path))


@every_core_module
def test_the_core_never_waits_and_never_asks_the_time(path: Path) -> None:
    tree = tree_of(path)
    assert imported(tree).isdisjoint(IMPURE)
    assert not any(isinstance(n, ast.AsyncFunctionDef | ast.Await) for n in ast.walk(tree))


@every_core_module
def test_the_core_draws_only_from_a_generator_that_it_was_given(path: Path) -> None:
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "random":
            assert not (isinstance(node.value, ast.Name) and node.value.id in {"np", "numpy"})


def test_assertions_are_switched_on() -> None:
    assert __debug__, "never run Sentinel with -O: its invariants are assertions"
