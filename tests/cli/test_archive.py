"""The archive end to end: `sentinel archive` killed with -9, verified, and decided again."""

import asyncio
import json
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentinel import archive
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaParams
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.test_run import await_start, await_that, call, counted, output, sentinel

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROWS, LIFE_COUNT = 2_000, 2
PRODUCE = ("produce", "rows.jsonl", "--label-column", "is_fraud", "--label-delay", "1d")


@dataclass
class Folder:
    """Where commands are called, on servers that several share."""

    path: Path
    settings: dict[str, str]

    def command(self, *arguments: str) -> "AbstractContextManager[subprocess.Popen[str]]":
        return sentinel(self.path, *arguments, "-c", "small.toml", settings=self.settings)

    def done(self, *arguments: str, exit_code: int = 0) -> str:
        """What a command says that ends by itself."""
        words = (*arguments, "-c", "small.toml")
        return call(self.path, *words, exit_code=exit_code, settings=self.settings)

    def produce(self) -> int:
        """Send the rows; returns how many votes came with them."""
        found = re.search(r"transactions and ([\d,]+)", self.done(*PRODUCE))
        assert found is not None
        return int(found[1].replace(",", ""))

    def decide(self, vote_count: int) -> None:
        """Run until each row has its decision, and each vote its label."""
        params = KafkaParams(self.settings["SENTINEL__KAFKA__BOOTSTRAP_SERVERS"])
        prefix = self.settings["SENTINEL__TOPICS__PREFIX"]
        with self.command("run", "--plain", "--no-stream") as process:
            await_start(self.path, process)
            for topic, count in (("decisions", ROWS), ("labels", vote_count)):
                asyncio.run(counted(params, f"{prefix}{topic}", until=count))
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S_MAX) == 0, output(self.path)

    def row_count(self, kind: str) -> int:
        root = self.path / ".sentinel" / "archive" / kind
        paths = list(root.rglob("*.parquet"))
        return sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in paths)

    def archive(self) -> pl.DataFrame:
        """All decisions that are archived."""
        return pl.read_parquet(
            self.path / ".sentinel/archive/decisions/**/*.parquet", missing_columns="insert"
        )


@pytest.fixture
def folder(tmp_path: Path, servers: EmbeddedServers) -> Folder:
    small.add_model(tmp_path)
    rows: Sequence[tuple[bytes, bool | None]] = list(small.flat())[:ROWS]
    lines = [json.dumps(json.loads(value) | {"is_fraud": fraud}) for value, fraud in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    name = uuid.uuid4().hex
    settings = {
        "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": servers.kafka_servers,
        "SENTINEL__KAFKA__SESSION_TIMEOUT_S": "2.0",
        "SENTINEL__KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
        "SENTINEL__KAFKA__IDEMPOTENCE": "false",
        "SENTINEL__KAFKA__GROUP_ID": name,
        "SENTINEL__REDIS__URL": servers.redis_url,
        "SENTINEL__REDIS__KEY_PREFIX": name,
        "SENTINEL__TOPICS__PREFIX": f"{name}-",
        "SENTINEL__ARCHIVE__INTERVAL_S": "0.1",
        "SENTINEL__ARCHIVE__ROW_COUNT_MAX": "150",
    }
    return Folder(tmp_path, settings)


def test_killed_with_9_again_and_again_each_decision_is_archived_once(folder: Folder) -> None:
    """And each is decided again from the archive, bit for bit."""
    vote_count = folder.produce()
    folder.decide(vote_count)
    rng = np.random.default_rng(5)
    files = folder.path / ".sentinel" / "archive"
    for life in range(LIFE_COUNT):
        wanted = len(list(files.rglob("*.parquet"))) + int(rng.integers(1, 4))
        with folder.command("archive", "run") as process:
            await_that(
                lambda wanted=wanted: len(list(files.rglob("*.parquet"))) >= wanted,  # type: ignore[misc]
                f"life {life} archives nothing: {output(folder.path)}",
            )
            process.kill()
    with folder.command("archive", "run") as archiving:
        await_that(
            lambda: (
                [folder.row_count(kind) for kind in ("decisions", "labels")] == [ROWS, vote_count]
            ),
            f"not all is archived: {output(folder.path)}",
        )
        archiving.send_signal(signal.SIGTERM)
        assert archiving.wait(WAIT_S_MAX) == 0, output(folder.path)

    decisions = folder.archive()
    assert len(decisions) == decisions["decision_id"].n_unique() == ROWS
    assert "wrong" not in folder.done("archive", "verify")

    said = folder.done("why", "--replay")
    assert f"model 1.0.0: {ROWS:,} decisions scored again, {ROWS:,} the same bit for bit" in said

    # Of a partition that is one file nothing tells that it is gone: its rows are yet to come.
    folder.settings |= {
        f"SENTINEL__ARCHIVE__{name}ROW_COUNT_MAX": "300" for name in ("", "COMPACT_")
    }
    folder.done("archive", "compact")
    assert folder.archive().sort("decision_id").equals(decisions.sort("decision_id"))

    fraud = decisions.filter(pl.col("transaction_id").is_in(frauds(folder)))["transaction_id"][0]
    story = folder.done("why", fraud, "--replay")
    assert f"{fraud} of " in story
    assert "adds to the log-odds" in story
    assert "label fraud (0.995)" in story
    assert "ground_truth/" in story
    assert "1 decisions scored again, 1 the same" in story
    entries = [json.loads(line) for line in folder.done("audit", fraud, "--json").splitlines()]
    assert [entry["kind"] for entry in entries] == ["vote", "label"]
    assert [entry["after"]["label"] for entry in entries] == ["fraud", "fraud"]

    # The first of its partition: without the last one, its rows would be yet to come.
    path = min(files.rglob("decisions/**/*.parquet"), key=lambda one: one.name)
    frame = pl.read_parquet(path)
    frame.with_columns(score=pl.col("score") + 1e-9).write_parquet(path)
    assert "others: " in folder.done("why", "--replay", exit_code=1)
    path.unlink()
    assert "wrong" in folder.done("archive", "verify", exit_code=1)


def frauds(folder: Folder) -> list[str]:
    """Those whose label is archived."""
    labels = pl.read_parquet(
        folder.path / ".sentinel/archive/labels/**/*.parquet", missing_columns="insert"
    )
    return labels.filter(pl.col("label") == "fraud")["transaction_id"].to_list()


def test_what_is_not_archived_is_one_clear_line(folder: Folder) -> None:
    folder.done("topics", "create")
    words = folder.done("why", "nobody", exit_code=2)

    assert "no decision on transaction nobody is in .sentinel/archive" in words
    assert "name a transaction" in folder.done("why", exit_code=2)
    assert "the archive holds no decision" in folder.done("why", "--replay")


def test_the_archive_outlives_the_run_whose_log_it_reads(tmp_path: Path) -> None:
    """A run that is killed takes its log along; the next one has another, elsewhere."""
    small.add_model(tmp_path)
    settings = {"SENTINEL__ARCHIVE__INTERVAL_S": "3600", "SENTINEL__ARCHIVE__ROW_COUNT_MAX": "100"}
    run = ("run", "-c", "small.toml", "--plain", "--stream", "--rate", "100")
    root = tmp_path / ".sentinel" / "archive"

    def logs() -> set[str]:
        return {path.name[:8] for path in (root / "decisions").rglob("*.parquet")}

    with (
        sentinel(tmp_path, *run) as first,
        sentinel_when_live(tmp_path, first, settings) as archiving,
    ):
        await_that(lambda: len(logs()) == 1, "nothing is archived")
        first.kill()
        first.wait()
        with sentinel(tmp_path, *run) as second:
            await_that(lambda: len(logs()) == 2, "the second log is not archived")
            archiving.send_signal(signal.SIGTERM)
            assert archiving.wait(WAIT_S_MAX) == 0, output(tmp_path)
            second.kill()

    said = output(tmp_path)
    # Whether it hears first that the old log is gone, or that there is a new one, is chance.
    assert "Traceback" not in said
    for log in logs():
        found = archive.segments(root, "decisions", log=log)
        rows = pl.concat([pl.read_parquet(one.path) for one in found])
        assert rows["decision_id"].n_unique() == len(rows)
        for partition in {segment.partition for segment in found}:
            spans = [(one.first, one.last) for one in found if one.partition == partition]
            assert spans[0][0] == 0
            assert all(one[1] + 1 == other[0] for one, other in pairwise(spans))


@contextmanager
def sentinel_when_live(
    folder: Path, run: "subprocess.Popen[str]", settings: dict[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    """An archiver beside a run, once that has its partitions."""
    await_start(folder, run)
    with sentinel(folder, "archive", "run", "-c", "small.toml", settings=settings) as process:
        yield process
