"""`sentinel run` told to stop while something holds it up: it ends in time, in a sentence."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from tests import kernels
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.test_run import (
    await_that,
    decided,
    external,
    folder,  # noqa: F401 - a fixture
    output,
    send,
    sentinel,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SHUTDOWN_S = 2.0
# Two seconds above the limit are promised, on a free machine. Whatever waits for an answer from
# what hangs would wait for longer than this.
ENDED_S_MAX = 60.0
REQUEST_S = "600.0"
KERNEL_COUNT_MIN = 100  # there are 150
COMPILED_S_MAX = 4 * WAIT_S_MAX
RUN = ("run", "-c", "small.toml", "--plain", "--no-stream")


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[EmbeddedServers]:
    """Servers of one test, which may be stopped; they go on before they are ended."""
    async with EmbeddedServers(tmp_path / "servers") as servers:
        yield servers
        for name in ("tansu", "valkey-server"):
            hung(servers, name).resume()


def port_of(servers: EmbeddedServers, name: str) -> int:
    address = {"tansu": servers.kafka_servers, "valkey-server": servers.redis_url}[name]
    return int(address.rpartition(":")[2])


def is_connected(process: "subprocess.Popen[str]", port: int) -> bool:
    found = psutil.Process(process.pid).net_connections("tcp")
    return any(at.raddr and at.raddr.port == port for at in found)


def hung(servers: EmbeddedServers, name: str) -> psutil.Process:
    """The process of one server, by its name."""
    port = port_of(servers, name)
    for child in psutil.Process().children():
        if any(at.laddr.port == port for at in child.net_connections("tcp")):
            return child
    raise AssertionError(f"{name} does not run")


def settings_of(servers: EmbeddedServers, **more: str) -> dict[str, str]:
    return {
        **external(servers, "ending"),
        "SENTINEL__ENGINE__SHUTDOWN_S_MAX": str(SHUTDOWN_S),
        "SENTINEL__KAFKA__REQUEST_TIMEOUT_S": REQUEST_S,
        "SENTINEL__REDIS__REQUEST_TIMEOUT_S": REQUEST_S,
        "SENTINEL__ENGINE__COMMIT_INTERVAL_S": "30.0",  # so that there is something to hand over
        **more,
    }


async def told_to_stop(process: "subprocess.Popen[str]", where: Path) -> None:
    """It ends in time, by itself and in order, and says what became of the rest."""
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, ENDED_S_MAX) == 0, output(where)
    assert "Traceback" not in output(where)
    assert "never retrieved" not in output(where)


@pytest.mark.parametrize("names", [("tansu",), ("valkey-server",), ("tansu", "valkey-server")])
async def test_a_server_that_hangs_does_not_hold_up_the_end(
    folder: Path,  # noqa: F811
    own: EmbeddedServers,
    names: tuple[str, ...],
) -> None:
    config = small.config(folder, topics=small.topics("ending-"))
    values = [value for value, _ in small.flat()][:300]
    params = KafkaParams().embedded_at(own.kafka_servers)
    async with KafkaBroker(params) as broker:
        with sentinel(folder, *RUN, settings=settings_of(own)) as process:
            await asyncio.to_thread(await_that, lambda: "live from" in output(folder), "no start")
            await send(config, broker, values)
            await decided(params, "ending-decisions", until=len(values))
            for name in names:
                hung(own, name).suspend()

            await told_to_stop(process, folder)

            for name in names:
                hung(own, name).resume()
    assert output(folder).count("the next start replays it") == 1


async def test_a_broker_that_hangs_at_the_start_does_not_hold_up_the_end(
    folder: Path,  # noqa: F811
    own: EmbeddedServers,
) -> None:
    hung(own, "tansu").suspend()
    with sentinel(folder, *RUN, settings=settings_of(own)) as process:
        port = port_of(own, "tansu")
        await asyncio.to_thread(await_that, lambda: is_connected(process, port), "no start")

        await told_to_stop(process, folder)

        hung(own, "tansu").resume()


async def test_an_archive_whose_broker_hangs_ends_in_time_too(
    folder: Path,  # noqa: F811
    own: EmbeddedServers,
) -> None:
    config = small.config(folder, topics=small.topics("ending-"))
    env = settings_of(own, SENTINEL__ARCHIVE__INTERVAL_S="600.0")
    params = KafkaParams().embedded_at(own.kafka_servers)
    async with KafkaBroker(params) as broker:
        await send(config, broker, [value for value, _ in small.flat()][:300])
        with sentinel(folder, *RUN, settings=env) as process:
            await decided(params, "ending-decisions", until=300)
            await told_to_stop(process, folder)
    with sentinel(folder, "archive", "run", "-c", "small.toml", settings=env) as process:
        port = port_of(own, "tansu")
        await asyncio.to_thread(await_that, lambda: is_connected(process, port), "no start")
        await asyncio.sleep(8.0)  # it has read them, and writes them when it is told to stop
        hung(own, "tansu").suspend()

        await told_to_stop(process, folder)

        hung(own, "tansu").resume()
    assert "rows in" in output(folder)


def test_kernels_that_are_compiled_do_not_hold_up_the_end(folder: Path) -> None:  # noqa: F811
    """Nothing is owned yet, and half a minute is too long for whoever stops a pod."""
    settings = {"NUMBA_CACHE_DIR": str(folder / "kernels")}
    with sentinel(folder, *RUN, settings=settings) as process:
        await_that(lambda: "compiling kernels" in output(folder), "it does not begin")

        process.send_signal(signal.SIGTERM)

        assert process.wait(ENDED_S_MAX) == 0, output(folder)
    assert "Traceback" not in output(folder)
    assert "live from" not in output(folder)
    assert len(list((folder / "kernels").rglob("*.nbc"))) < KERNEL_COUNT_MIN


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of kernels that `sentinel warm` has filled, as an image build does."""
    place = tmp_path_factory.mktemp("image")
    small.config_file(place)
    image = place / "kernels"
    if kernels.warmed().exists():  # by `make test`, which did nothing else with it
        shutil.copytree(kernels.warmed(), image)
    else:
        assert "compiled, 0 were there" in warm(place, image)
    said = warm(place, image)
    assert ": 0 compiled, " in said
    assert f"kept in {image}" in said
    return image


def warm(place: Path, image: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "warm", "-c", "small.toml"],
        cwd=place,
        env={**os.environ, "NUMBA_CACHE_DIR": str(image)},
        capture_output=True,
        text=True,
        timeout=COMPILED_S_MAX,
        check=True,
    )
    return done.stdout


@pytest.mark.timeout(2 * COMPILED_S_MAX)
def test_after_warm_a_start_compiles_nothing(folder: Path, warmed: Path) -> None:  # noqa: F811
    before = sorted(warmed.rglob("*.nb*"))
    arguments = ("--plain", "--stream", "--rate", "200", "--duration", "6", "--no-archive")
    settings = {"NUMBA_CACHE_DIR": str(warmed)}

    with sentinel(folder, "run", "-c", "small.toml", *arguments, settings=settings) as process:
        assert process.wait(WAIT_S_MAX) == 0, output(folder)

    assert sum(one.suffix == ".nbc" for one in before) > KERNEL_COUNT_MIN
    assert sorted(warmed.rglob("*.nb*")) == before
