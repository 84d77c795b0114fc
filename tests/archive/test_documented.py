"""What is documented of the archive runs, on an archive whose columns changed twice."""

import re
from pathlib import Path
from typing import Any

import pytest

from sentinel import archive
from sentinel.codec.archive import KINDS, Kind
from tests.app.test_archive import label
from tests.archive.samples import COUNT, FIRST_MS, archive_at, changed_twice, write

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
FOLDER = ".sentinel/archive"
_BLOCK = re.compile(r"^```(python|sql)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> list[tuple[str, str]]:
    """Of a page the blocks that read the archive, with their language."""
    return [
        (language, text) for language, text in _BLOCK.findall(path.read_text()) if FOLDER in text
    ]


SNIPPETS = [
    pytest.param(language, text, id=f"{page}-{number}-{language}")
    for page in PAGES
    for number, (language, text) in enumerate(blocks(ROOT / page))
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as `sentinel archive run` leaves it."""
    monkeypatch.chdir(tmp_path)
    changed_twice(Path(FOLDER))


def ran(language: str, text: str) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """The names that a block has defined, and the rows of a query."""
    names: dict[str, Any] = {}
    if language == "python":
        exec(text, names)  # of our own documentation
        return names, []
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        return names, connection.execute(text).fetchall()


def test_every_reader_is_documented() -> None:
    text = "".join(text for page in PAGES for _, text in blocks(ROOT / page))
    for reader in (
        "archive.scan",
        "archive.history",
        "pl.scan_parquet",
        "union_by_name",
        "pyarrow",
    ):
        assert reader in text


@pytest.mark.parametrize(("language", "text"), SNIPPETS)
def test_what_is_documented_runs(
    language: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "pyarrow" in text:
        pytest.importorskip("pyarrow")
        pytest.importorskip("pandas")

    names, rows = ran(language, text)

    assert rows or capsys.readouterr().out
    if (found := names.get("decisions")) is None:
        return
    columns, count = shape(found)
    assert count == 3 * COUNT
    assert {"feature_ratio", "feature_risk", "feature_score", "entity_device", "date"} <= columns
    if (frame := names.get("frame")) is not None:
        assert len(frame) == COUNT
        assert frame["feature_risk"].isna().sum() == 2


def shape(found: Any) -> tuple[set[str], int]:
    """The columns and the number of rows of a LazyFrame, or of a dataset of pyarrow."""
    if hasattr(found, "collect"):
        frame = found.collect()
        return set(frame.columns), len(frame)
    return set(found.schema.names), found.count_rows()


def test_a_query_counts_each_decision_once() -> None:
    (query,) = (text for language, text in blocks(ROOT / "docs/archive.md") if language == "sql")

    _, rows = ran("sql", query)

    assert rows == [("approve", COUNT, 0.25)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_is_in_the_table(kind: Kind) -> None:
    page = (ROOT / "docs/archive.md").read_text()
    rows = dict(re.findall(r"^\| (all|decisions|labels|audit) \| (.*) \|$", page, re.MULTILINE))
    cells = [re.sub(r"\([^)]*\)", "", rows[of]) for of in ("all", kind)]
    files, entry = archive_at(Path(FOLDER)), {"id": "1", "kind": "vote", "subject": "t", "who": "a"}
    write(files, "audit", [{**entry, "at_ms": FIRST_MS, "before": None, "after": {}}])
    write(files, "labels", [{**label(9), "entities": {"terminal": "m"}}], first=9, day=9)

    columns = archive.scan(FOLDER, kind).collect_schema().names()

    told = {name for cell in cells for name in re.findall(r"`([\w…]+)`", cell)}
    assert {re.sub(r"^(entity|feature)_.*", r"\1_…", name) for name in columns} == told
