"""Whether the disks that Sentinel writes to have room left."""

from sentinel.ports.machine import MachineLook


class Disks:
    """Remembers how much was free when it was looked at last.

    Parameters
    ----------
    free_mb_min
        With less than this a disk is nearly full; 0 turns this off.
    """

    def __init__(self, free_mb_min: int) -> None:
        self._free_bytes_min = free_mb_min * 2**20
        self._look = MachineLook()

    def judge(self, look: MachineLook) -> None:
        """How it stands now."""
        self._look = look

    @property
    def trouble(self) -> str:
        """Which disks are nearly full; empty if none is."""
        told = [
            f"{folder} ({free / 2**20:,.0f} MB are free)"
            for folder, free in self._look.free_bytes.items()
            if free < self._free_bytes_min
        ]
        return f"a disk is nearly full: {', '.join(told)}" if told else ""
