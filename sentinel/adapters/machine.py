"""The machine as Linux tells of it: /proc, the control group, and the disks of some folders."""

import asyncio
import mmap
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from sentinel.ports.machine import MachineLook

_NO_LIMIT = 1 << 60  # version 1 writes a number for "none", of about this size


class LocalMachine:
    """`ports.Machine` of this process.

    Parameters
    ----------
    memory_mb_max
        Of this process alone; 0 for what its control group, or one above that, may use.
    folders
        Whose disks are looked at; one that does not exist is left out.
    root
        Where /proc and /sys are.
    """

    def __init__(
        self, memory_mb_max: int, folders: Sequence[str], *, root: Path = Path("/")
    ) -> None:
        self._limit_bytes = memory_mb_max * 2**20
        self._folders = list(dict.fromkeys(folders))
        self._root = root

    async def look(self) -> MachineLook:
        """In a thread: a disk may hang."""
        return await asyncio.to_thread(self._look)

    def clock_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def _look(self) -> MachineLook:
        free = {one: found for one in self._folders if (found := _free(one)) is not None}
        if self._limit_bytes:
            return MachineLook(self._resident_bytes(), self._limit_bytes, free)
        return MachineLook(*self._of_group(), free)

    def _resident_bytes(self) -> int | None:
        try:
            pages = (self._root / "proc/self/statm").read_text().split()[1]
            return int(pages) * mmap.PAGESIZE
        except (OSError, ValueError, IndexError):
            return None

    def _of_group(self) -> tuple[int | None, int | None]:
        """In use, and the limit, of the control group whose limit is reached first."""
        found = [one for folder, names in self._groups() if (one := _read(folder, *names))]
        if not found:
            return None, None
        return min(found, key=lambda one: one[1] - one[0])

    def _groups(self) -> list[tuple[Path, tuple[str, str, str]]]:
        """The folders of this process's group and of all above it, with the names of their files.

        In a container its group may look like the root, or the path may be one of the host.
        """
        try:
            lines = (self._root / "proc/self/cgroup").read_text().splitlines()
        except OSError:
            return []
        found: list[tuple[Path, tuple[str, str, str]]] = []
        for line in lines:
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers == "":
                top, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                top = "sys/fs/cgroup/memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            at = self._root / top
            parts = Path(path.lstrip("/")).parts
            found += [(at.joinpath(*parts[:n]), names) for n in range(len(parts), -1, -1)]
        return found


def _read(folder: Path, limit_name: str, used_name: str, cache_name: str) -> tuple[int, int] | None:
    """In use without what the kernel would rather give back than kill, and the limit.

    None where there is no limit, or no such group.
    """
    try:
        limit_bytes = int((folder / limit_name).read_text())  # "max" is no number
        used_bytes = int((folder / used_name).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        used_bytes -= int(stat.get(cache_name, 0))
    except (OSError, ValueError):
        return None
    return None if limit_bytes >= _NO_LIMIT else (max(used_bytes, 0), limit_bytes)


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
