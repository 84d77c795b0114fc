"""What operators' tools see of a run: a process of its own, its port, its log."""

import http.client
import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sentinel.app.monitoring.announcing import listener_address
from tests.app import small
from tests.app.monitoring.odd_input import CARD, SECRET
from tests.app.monitoring.scrapes import promtool, series_of
from tests.children import WAIT_S_MAX
from tests.cli.test_run import await_that, output, sentinel

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.add_model(tmp_path)
    return tmp_path


def read(address: str, path: str) -> tuple[int, str]:
    """A page; status 0 while nobody listens."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=WAIT_S_MAX)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def test_a_run_is_watched_from_its_start_to_its_end_and_its_log_is_collected(folder: Path) -> None:
    settings = {
        "SENTINEL__HTTP__BIND": ":0",
        "SENTINEL__LOGGING__FORMAT": "json",
        "SENTINEL__EXPERIMENTS__SECRET": SECRET,
    }
    arguments = ("--stream", "--rate", "100", "--no-archive", "--report", "r.json")
    state = folder / ".sentinel"
    rows = [{"account": CARD, "amount": "much", "transaction_id": "t"}, {"account": CARD}]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))

    with sentinel(folder, "run", "-c", "small.toml", *arguments, settings=settings) as process:
        await_that(lambda: listener_address(state) is not None or ended(process), "nobody listens")
        address = listener_address(state)
        assert address is not None
        assert read(address, "/healthz") == (200, "ok\n")
        await_that(lambda: read(address, "/readyz")[0] == 200, "it is never ready")
        with sentinel(folder, "produce", "rows.jsonl", "-c", "small.toml") as producing:
            producing.wait(WAIT_S_MAX)
        await_that(lambda: number(address, "sentinel_decisions_total") > 100, "nothing is decided")
        _, ready = read(address, "/readyz")
        assert json.loads(ready).keys() == {"status", "reasons", "lag", "model_version"}
        _, page = read(address, "/metrics")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S_MAX) == 0, output(folder)

    assert promtool("check", "metrics", text=page) == ""
    report = json.loads((folder / "r.json").read_text())
    assert series_of(page)["sentinel_decisions_total", ()] <= report["decisions"]
    assert listener_address(state) is None
    assert not (state / "listener.json").exists()
    lines = [one for one in output(folder).splitlines() if one.startswith("{")]
    told = [json.loads(line) for line in lines]
    assert {"info"} <= {line["level"] for line in told} <= {"info", "warning"}
    assert any("live from" in line["message"] for line in told)
    assert any(line["logger"] == "sentinel.cli.logs" for line in told), "what a view would show"
    for text in (page, ready, "\n".join(lines)):
        assert CARD not in text
        assert SECRET not in text


def ended(process: "subprocess.Popen[str]") -> bool:
    return process.poll() is not None


def number(address: str, name: str) -> float:
    status, page = read(address, "/metrics")
    return series_of(page)[name, ()] if status == 200 else 0.0


def test_a_port_that_is_taken_leaves_it_scoring_and_is_a_trouble(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = {"SENTINEL__HTTP__BIND": f"127.0.0.1:{other.getsockname()[1]}"}
        arguments = ("--plain", "--stream", "--rate", "100", "--duration", "2", "--no-archive")
        report = ("--report", "r.json")
        with sentinel(
            folder, "run", "-c", "small.toml", *arguments, *report, settings=settings
        ) as process:
            assert process.wait(WAIT_S_MAX) == 0, output(folder)

    found: dict[str, Any] = json.loads((folder / "r.json").read_text())
    assert found["decisions"] > 0
    assert found["health"] == "degraded"
    assert found["health_reasons"] == [
        f"no listener at {settings['SENTINEL__HTTP__BIND']} ([http] bind): it is taken"
    ]
    assert output(folder).count("it is tried again") == 1


def test_what_ends_a_run_is_a_line_of_its_log(folder: Path) -> None:
    settings = {"SENTINEL__LOGGING__FORMAT": "json"}
    (folder / "models" / "1.0.0" / "model.txt").write_text("tree")

    with sentinel(folder, "run", "-c", "small.toml", "--no-archive", settings=settings) as process:
        assert process.wait(WAIT_S_MAX) == 2, output(folder)

    *_, last = output(folder).splitlines()
    line = json.loads(last)
    assert (line["level"], line["logger"]) == ("critical", "sentinel.cli.run.session")
    assert "does not have the manifest's SHA-256" in line["message"]
