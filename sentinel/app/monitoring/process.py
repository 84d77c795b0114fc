"""What every client of Prometheus says of its process, under the same names."""

import os
import resource
import time
from pathlib import Path

from sentinel.app.monitoring.gauge import Gauge, Samples, if_known
from sentinel.app.status import Status

_PROC = Path("/proc/self")
_BEGAN_S = time.time()  # near enough


def _processor(status: Status) -> Samples:
    return if_known(time.process_time())


def _began(status: Status) -> Samples:
    return if_known(_BEGAN_S)


def _memory(status: Status) -> Samples:
    try:
        pages = int((_PROC / "statm").read_text().split()[1])
    except OSError:  # no Linux
        return ()
    return if_known(pages * resource.getpagesize())


def _open_files(status: Status) -> Samples:
    try:
        return if_known(len(os.listdir(_PROC / "fd")))
    except OSError:
        return ()


def _open_files_max(status: Status) -> Samples:
    return if_known(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


PROCESS_GAUGES = (
    Gauge(
        "process_cpu_seconds_total",
        "process",
        "processor time in seconds",
        _processor,
        kind="counter",
    ),
    Gauge("process_start_time_seconds", "process", "when it began, epoch seconds", _began),
    Gauge("process_resident_memory_bytes", "process", "bytes of memory", _memory),
    Gauge("process_open_fds", "process", "open files and sockets", _open_files),
    Gauge("process_max_fds", "process", "how many of them it may have", _open_files_max),
)
