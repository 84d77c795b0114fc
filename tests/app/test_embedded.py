"""Embedded mode: one run in a folder, and how other commands find it."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel.adapters.kafka import EMBEDDED
from sentinel.config import Config
from sentinel.core.features.spec import FeatureParams
from sentinel.errors import ConfigError
from sentinel.operations import embedded


@pytest.fixture
def config() -> Config:
    return Config(features=(FeatureParams(name="amount", stat="amount"),))


def at(config: Config, kafka: str, redis: str) -> Config:
    return replace(
        config,
        kafka=replace(config.kafka, bootstrap_servers=kafka),
        redis=replace(config.redis, url=redis),
    )


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / ".sentinel"

    with (
        embedded.run_folder(folder),
        pytest.raises(ConfigError, match="another `sentinel run` is at work in"),
        embedded.run_folder(folder),
    ):
        pass
    with embedded.run_folder(folder):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="file/folder: cannot be written"):
        embedded.run_folder(tmp_path / "file" / "folder").__enter__()


def test_servers_are_wanted_where_the_configuration_says_so(config: Config) -> None:
    assert embedded.is_wanted(config)
    assert embedded.is_wanted(at(config, "broker:9092", EMBEDDED))
    assert not embedded.is_wanted(at(config, "broker:9092", "redis://store"))


def test_what_was_announced_is_found(config: Config, tmp_path: Path) -> None:
    embedded.announce(at(config, "127.0.0.1:1", "redis://127.0.0.1:2"), tmp_path)

    found = embedded.running(config, tmp_path)

    assert found.kafka.bootstrap_servers == "127.0.0.1:1"
    assert found.kafka.idempotence is False, "the embedded broker does not know it"
    assert found.redis.url == "redis://127.0.0.1:2"
    only_kafka = embedded.running(at(config, EMBEDDED, "redis://mine"), tmp_path)
    assert only_kafka.redis.url == "redis://mine"


def test_servers_of_ones_own_need_no_announcement(config: Config, tmp_path: Path) -> None:
    mine = at(config, "broker:9092", "redis://store")

    assert embedded.running(mine, tmp_path) == mine


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"pid": "x"}', '{"pid": null}'])
def test_nobody_at_work_is_said_plainly(config: Config, tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "embedded.json").write_text(text)

    with pytest.raises(ConfigError, match="no `sentinel run` is running in this folder"):
        embedded.running(config, tmp_path)


def test_the_note_of_a_process_that_is_gone_does_not_count(config: Config, tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    note = {"pid": process.pid, "kafka": "127.0.0.1:1", "redis": "redis://127.0.0.1:2"}
    (tmp_path / "embedded.json").write_text(json.dumps(note))

    with pytest.raises(ConfigError, match="start one first"):
        embedded.running(config, tmp_path)
    (tmp_path / "embedded.json").write_text(json.dumps(note | {"pid": os.getpid()}))
    assert embedded.running(config, tmp_path).kafka.bootstrap_servers == "127.0.0.1:1"
