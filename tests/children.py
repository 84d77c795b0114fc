"""Servers as children of the tests: on ports of their own, and never outliving them."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from sentinel.adapters.embedded import EXEC_WRAPPER

# What takes longer than this hangs: the slowest machine does each thing that is waited for in a
# fraction of it, and where the thing happens the limit costs nothing.
WAIT_S_MAX = 120.0
STOP_S_MAX = 20.0

# Below the ports that the system gives to outgoing connections, or one of them could take the port
# of a server that is stopped for a while.
PORTS = range(15_000, 32_000)


def start(
    command: list[str], log: Path, directory: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a command that dies with this process, in a session of its own.

    On Linux it dies with the *thread* that called this.
    """
    wrapper = [sys.executable, "-I", "-S", "-c", EXEC_WRAPPER, str(os.getpid())]
    with log.open("ab") as sink:
        return subprocess.Popen(
            [*wrapper, *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )


async def exit_of(process: "subprocess.Popen[bytes]", wait_s_max: float = STOP_S_MAX) -> None:
    """Wait until it has ended; kill it when that takes too long."""
    deadline = time.monotonic() + wait_s_max
    try:
        while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each another one."""
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)


async def connects(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
