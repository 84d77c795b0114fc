"""Embedded mode: which servers to start, and how other commands find them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import EMBEDDED
from sentinel.codec.records import decode_object, encode_pretty
from sentinel.config import Config, load
from sentinel.errors import ConfigError, RecordError

DIRECTORY = Path(".sentinel")
_ADDRESSES = "embedded.json"
_ASSIGNED_BY = "of an embedded broker"  # by which experiments assign accounts


@contextmanager
def run_folder(directory: Path) -> Iterator[None]:
    """The folder of one run: two would write over each other's state.

    Raises ConfigError when another one runs there, or it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise ConfigError(f"{directory.resolve()}: cannot be written: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends
        except OSError as error:
            raise ConfigError(
                f"another `sentinel run` is at work in {directory.resolve()}: "
                "stop it, or start this one in another folder"
            ) from error
        yield


def is_wanted(config: Config) -> bool:
    """Whether any server is to be started."""
    return EMBEDDED in (config.kafka.bootstrap_servers, config.redis.url)


def is_kafka_wanted(config: Config) -> bool:
    """Whether the log is one in memory, which ends with its broker."""
    return config.kafka.bootstrap_servers == EMBEDDED


def servers_for(config: Config, directory: Path = DIRECTORY) -> EmbeddedServers:
    """The servers that this configuration asks for; perhaps none."""
    return EmbeddedServers(
        directory / "servers",
        kafka=is_kafka_wanted(config),
        redis=config.redis.url == EMBEDDED,
    )


def with_servers(config: Config, servers: EmbeddedServers) -> Config:
    """The configuration with the addresses of what was started."""
    if is_kafka_wanted(config):
        config = _embedded(config, servers.kafka_servers)
    if config.redis.url == EMBEDDED:
        config = replace(config, redis=replace(config.redis, url=servers.redis_url))
    return config


def _embedded(config: Config, kafka: str) -> Config:
    """With the address of a broker of which nobody else knows, so that no secret must be chosen."""
    experiments = config.experiments
    if not experiments.secret:
        experiments = replace(experiments, secret=_ASSIGNED_BY)
    return replace(config, kafka=config.kafka.embedded_at(kafka), experiments=experiments)


def announce(config: Config, directory: Path = DIRECTORY) -> Path:
    """Write down where the servers listen, for `sentinel produce` beside `sentinel run`."""
    path = directory / _ADDRESSES
    facts = {
        "pid": os.getpid(),
        "kafka": config.kafka.bootstrap_servers,
        "redis": config.redis.url,
    }
    try:
        path.write_bytes(encode_pretty(facts))
    except OSError as error:
        raise ConfigError(f"{path.resolve()}: cannot be written: {error}") from error
    return path


def addresses(directory: Path = DIRECTORY) -> tuple[str, str] | None:
    """Of the broker and the store of a run that is at work in this folder; None if none is."""
    try:
        facts = decode_object((directory / _ADDRESSES).read_bytes())
        pid, kafka, redis = int(facts["pid"]), str(facts["kafka"]), str(facts["redis"])
        os.kill(pid, 0)
    except (OSError, RecordError, KeyError, ValueError, TypeError):
        return None
    return kafka, redis


def running(config: Config, directory: Path = DIRECTORY) -> Config:
    """The configuration with the addresses of an embedded instance that runs in this folder.

    Raises ConfigError when the configuration asks for one and none runs.
    """
    if not is_kafka_wanted(config):
        return config
    if (found := addresses(directory)) is None:
        raise ConfigError(
            "kafka.bootstrap_servers is embedded, and no `sentinel run` is running in this folder: "
            "start one first, or set kafka.bootstrap_servers"
        )
    kafka, redis = found
    config = _embedded(config, kafka)
    if config.redis.url == EMBEDDED:
        config = replace(config, redis=replace(config.redis, url=redis))
    return config


def running_from(config_file: Path | None) -> Config:
    """The configuration in a file, as `running` completes it. Raises ConfigError."""
    return running(load(config_file))
