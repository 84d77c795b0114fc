"""A run whose settings are changed and which is paused while it goes on, as an operator does it."""

import json
import signal
from pathlib import Path

import pytest

from tests.app import small
from tests.cli.test_run import await_start, await_that, call, output, sentinel

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HERE = ("-c", "small.toml")


def write(folder: Path, name: str, more: str) -> None:
    (folder / name).write_text(small.TOML + more)


def test_settings_change_and_things_rest_while_it_runs(tmp_path: Path) -> None:
    folder = tmp_path
    small.add_model(folder)
    with sentinel(folder, "run", *HERE, "--no-stream", "--plain", "--no-archive") as process:
        await_start(folder, process)

        write(folder, "small.toml", '\n[policy]\nreview_min = 0.05\nblock_min = "')
        process.send_signal(signal.SIGHUP)
        await_that(lambda: "nothing changes" in output(folder), "a half-written file is refused")
        assert "is not TOML" in output(folder)

        write(folder, "small.toml", '\n[policy]\nreview_min = 0.05\n[kafka]\nclient_id = "x"\n')
        process.send_signal(signal.SIGHUP)
        await_that(lambda: "[policy] review_min 0.2 → 0.05" in output(folder), "it is read again")
        await_that(
            lambda: "needs a restart: kafka.client_id" in output(folder), "and the rest told"
        )

        applied_while_it_runs(folder)
        paused_while_it_runs(folder)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "Traceback" not in output(folder)


def applied_while_it_runs(folder: Path) -> None:
    write(folder, "wrong.toml", "\n[policy]\nreview_min = 2.0\n")
    refused = call(folder, "config", "apply", "wrong.toml", *HERE, exit_code=2)
    assert "review_min" in refused
    write(folder, "other.toml", '\n[policy]\nblock_min = 0.4\n[kafka]\ngroup_id = "other"\n')
    strict = call(folder, "config", "apply", "other.toml", *HERE, "--strict", exit_code=2)
    assert "[kafka] group_id" in strict
    assert "nothing is applied" in strict

    said = call(folder, "config", "apply", "other.toml", *HERE, "--who", "mia", "--why", "night")

    assert "[policy] block_min: 0.8 → 0.4" in said
    assert "needs a restart: [kafka] group_id" in said
    await_that(lambda: "applied by mia" in output(folder), "the instance takes it up")
    assert "nothing changes" in call(folder, "config", "apply", "other.toml", *HERE)
    shown = {
        one["path"]: one for one in json.loads(call(folder, "config", "show", "--json", *HERE))
    }
    assert shown["policy.block_min"]["origin"] == "applied"
    assert shown["policy.block_min"]["file_value"] == 0.8
    assert shown["redis.password"]["value"] == "not set"
    assert "nothing is applied any more" in call(folder, "config", "reset", *HERE)
    await_that(lambda: "applied settings are reset" in output(folder), "and goes by its file")


def paused_while_it_runs(folder: Path) -> None:
    assert call(folder, "pause", "learning", *HERE, "--who", "mia", "--why", "x").startswith(
        "learning is paused"
    )
    again = call(folder, "pause", "all", *HERE)
    assert "learning is paused already: by mia" in again
    assert "drift is paused\n" in again
    await_that(lambda: "drift is paused: by" in output(folder), "the instance hears it")
    assert "learning by mia" in call(folder, "status", *HERE)
    on = call(folder, "maintenance", "on", *HERE, "--why", "planned")
    assert on.startswith("maintenance mode is on")
    await_that(lambda: "health maintenance (by" in output(folder), "health says so")
    resumed = call(folder, "resume", "all", *HERE)
    assert "learning goes on" in resumed
    assert "maintenance mode is on, so all of it rests" in resumed
    assert "maintenance mode is off" in call(folder, "maintenance", "off", *HERE)
    await_that(lambda: "maintenance mode is over" in output(folder), "and is over")
