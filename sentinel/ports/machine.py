"""The machine that an instance runs on: how much memory and disk are left, and what time it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MachineLook:
    """How things stand.

    Attributes
    ----------
    used_bytes
        Memory that is in use, of what `limit_bytes` limits; None where nobody tells.
    limit_bytes
        From where on somebody is killed; None without a limit.
    free_bytes
        What is free of the disk of each folder, by the folder.
    """

    used_bytes: int | None = None
    limit_bytes: int | None = None
    free_bytes: Mapping[str, int] = field(default_factory=dict)


class Machine(Protocol):
    """Tells about it. Nothing raises: what cannot be found out is missing."""

    async def look(self) -> MachineLook:
        """How things stand now."""
        ...

    def clock_ms(self) -> int:
        """Epoch milliseconds, by the clock of this machine."""
        ...
