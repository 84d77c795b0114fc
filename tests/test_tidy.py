"""The house style, as far as a machine can read it."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "sentinel"

FUNCTION_LINE_COUNT_MAX = 70  # one screen; the number is TigerStyle's
FOLDER_MODULE_COUNT_MAX = 12
MODULE_LINE_COUNT_MAX = 400  # near the 90th percentile of the codebases we learned from

IMPURE = {"asyncio", "datetime", "logging", "os", "random", "threading", "time"}

# Where each third-party client may be imported: a module, or a folder when it ends in a slash.
HOMES_OF = {
    "aiokafka": ("adapters/kafka/",),
    "httptools": ("adapters/http/",),
    "lightgbm": ("model.py",),
    "msgspec": ("codec/",),
    "orjson": ("codec/",),
    "polars": (
        "app/demo/outcome.py",
        "adapters/archive/",
        "archive/",
        "adapters/files/",
        "adapters/feedback_files.py",
        "codec/savepoints/tables.py",
        "engine/archive/",
        "app/builtin/past.py",
        "operations/why.py",
        "cli/labels/weighing.py",
        "cli/data/folding.py",
        "ports/archive.py",  # for its types only
    ),
    "redis": ("adapters/redis/",),
    "starlette": ("adapters/http/",),
    "uvicorn": ("adapters/http/",),
    "uvloop": (
        "cli/inspection/archive.py",
        "cli/inspection/archiving.py",
        "cli/run/demo_session.py",
        "cli/run/session.py",
        "cli/data/sending.py",
    ),
}


@dataclass(frozen=True)
class Module:
    """One file of the product, read and parsed once for all tests."""

    name: str  # below the package
    source: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]

    def at(self, node: ast.stmt | ast.expr | ast.excepthandler, what: str) -> str:
        """A fault for a person to read, and an editor to jump to."""
        return f"{PACKAGE.name}/{self.name}:{node.lineno}: {what}"

    def as_a_whole(self, what: str) -> str:
        return f"{PACKAGE.name}/{self.name}:1: {what}"


def module_of(path: Path) -> Module:
    source = path.read_text()
    tree = ast.parse(source)
    return Module(path.relative_to(PACKAGE).as_posix(), source, tree, tuple(ast.walk(tree)))


MODULES = [module_of(path) for path in sorted(PACKAGE.rglob("*.py"))]
CORE = [module for module in MODULES if module.name.startswith("core/")]

Fault = tuple[ast.stmt | ast.expr | ast.excepthandler, str]


def imports(module: Module) -> Iterator[Fault]:
    """Where packages are imported, anywhere in the module, and their top-level names."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, (node.module or "").split(".")[0]


def calls(module: Module) -> Iterator[Fault]:
    """Where plain names are called; methods do not count."""
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, node.func.id


def assert_none(faults: Iterable[str]) -> None:
    """Names every fault, each on a line of its own."""
    found = list(faults)
    assert not found, "\n".join(["", *found])


def test_there_is_a_tree_to_look_at() -> None:
    assert len(MODULES) > 100
    assert len(CORE) > 20


def test_a_module_says_what_it_is_for() -> None:
    assert_none(
        module.as_a_whole("no docstring")
        for module in MODULES
        if module.source.strip() and not ast.get_docstring(module.tree)
    )


def test_a_module_fits_in_one_sitting() -> None:
    line_counts = [(module, len(module.source.splitlines())) for module in MODULES]
    assert_none(
        module.as_a_whole(f"{line_count} lines")
        for module, line_count in line_counts
        if line_count > MODULE_LINE_COUNT_MAX
    )


def test_a_folder_holds_a_dozen_modules_at_most() -> None:
    """More than that is not taken in at a look: it has rooms that want names."""
    folders = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert {folder.name: n for folder, n in folders.items() if n > FOLDER_MODULE_COUNT_MAX} == {}


def test_a_function_fits_on_one_screen() -> None:
    assert_none(
        module.at(node, f"{node.name}: {line_count} lines")
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (line_count := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINE_COUNT_MAX
    )


def test_a_class_has_a_name_of_its_own() -> None:
    """Who reads it in a log, or searches for it, finds one thing."""
    first: dict[str, str] = {}
    assert_none(
        module.at(node, f"{node.name} is in {first[node.name]}, too")
        for module in MODULES
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
        and first.setdefault(node.name, module.name) != module.name
    )


def test_what_a_person_asks_for_has_a_name_of_its_own() -> None:
    """A command may be called as what it is the face of; else a function's name is one thing."""
    rooms, faces = (
        ("app/", "cli/", "operations/"),
        {"main", "pause", "resume", "run", "train", "warm"},
    )
    first: dict[str, str] = {}
    assert_none(
        module.at(node, f"{node.name} is in {first[node.name]}, too")
        for module in MODULES
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and node.name not in faces
        and first.setdefault(node.name, module.name) != module.name
        and (module.name.startswith(rooms) or first[node.name].startswith(rooms))
    )


def swallowed(handler: ast.ExceptHandler) -> set[str]:
    """What a handler catches that is too much."""
    if handler.type is None:
        return {"bare except"}
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return names & {"Exception", "BaseException"}


def test_nothing_swallows_every_error() -> None:
    assert_none(
        module.at(node, ", ".join(swallowed(node)))
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.ExceptHandler) and swallowed(node)
    )


def test_a_third_party_client_has_one_home() -> None:
    def is_home(name: str, home: str) -> bool:
        return name == home or (home[-1] == "/" and name.startswith(home))

    assert_none(
        module.at(node, f"imports {library}")
        for module in MODULES
        for node, library in imports(module)
        if library in HOMES_OF and not any(is_home(module.name, h) for h in HOMES_OF[library])
    )


def test_nothing_imports_what_every_start_would_pay_for() -> None:
    """scipy.stats takes a second; what is needed of it, scipy.special has, bit for bit."""
    assert_none(
        module.at(node, "imports scipy.stats")
        for module in MODULES
        for node in module.nodes
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scipy.stats"))
        or (isinstance(node, ast.ImportFrom) and node.module == "scipy" and is_named(node, "stats"))
        or (isinstance(node, ast.Import) and is_named(node, "scipy.stats"))
    )


def is_named(node: ast.Import | ast.ImportFrom, name: str) -> bool:
    return any(f"{alias.name}.".startswith(f"{name}.") for alias in node.names)


def test_nothing_is_pickled() -> None:
    assert_none(
        module.at(node, f"imports {library}")
        for module in MODULES
        for node, library in imports(module)
        if library in {"pickle", "cloudpickle", "dill", "shelve"}
    )


def test_nothing_is_left_to_do() -> None:
    assert_none(
        f"{PACKAGE.name}/{module.name}:{number}: {line.strip()}"
        for module in MODULES
        for number, line in enumerate(module.source.splitlines(), start=1)
        if re.search(r"\b(TODO|FIXME|XXX)\b", line)
    )


def test_nobody_asks_redis_for_all_its_keys() -> None:
    """KEYS holds a Redis of a hundred million keys for a minute; SCAN does not."""
    asks = re.compile(r"\AKEYS\b|redis\.call\(['\"]KEYS['\"]")
    assert_none(
        module.at(node, text)
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        for text in [node.value if isinstance(node.value, str) else node.value.decode("latin-1")]
        if asks.search(text)
    )


def test_only_the_command_line_talks_to_a_person() -> None:
    assert_none(
        module.at(node, "print")
        for module in MODULES
        for node, name in calls(module)
        if name == "print" and not module.name.startswith("cli/")
    )


def test_nothing_depends_on_a_hash_that_differs_from_run_to_run() -> None:
    assert_none(
        module.at(node, "hash")
        for module in MODULES
        for node, name in calls(module)
        if name == "hash"
    )


def test_the_core_never_waits_and_never_asks_the_time() -> None:
    waits = ast.AsyncFunctionDef | ast.Await
    assert_none(
        module.at(node, f"imports {library}")
        for module in CORE
        for node, library in imports(module)
        if library in IMPURE
    )
    assert_none(
        module.at(node, "waits")
        for module in CORE
        for node in module.nodes
        if isinstance(node, waits)
    )


def test_the_core_draws_only_from_a_generator_that_it_was_given() -> None:
    assert_none(
        module.at(node, f"{node.value.id}.random")
        for module in CORE
        for node in module.nodes
        if isinstance(node, ast.Attribute)
        and node.attr == "random"
        and isinstance(node.value, ast.Name)
        and node.value.id in {"np", "numpy"}
    )


def test_assertions_are_switched_on() -> None:
    assert __debug__, "never run Sentinel with -O: its invariants are assertions"
