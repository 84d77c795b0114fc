"""Where the listener listens, and what a page of it is."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_PORT_MAX = 65_535
_LOOPBACK = "127.0.0.1"
# A name or an address of version 4; or one of version 6 in brackets.
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})", re.ASCII)


class PageAnswer(NamedTuple):
    """What a page says when it is asked."""

    body: bytes
    media_type: str
    status: int = 200


Page = Callable[[], PageAnswer]


@dataclass(frozen=True, slots=True)
class HttpParams:
    """Of the listener. It asks nobody who they are: who reaches its address may read it.

    Attributes
    ----------
    bind
        Host and port; without a host this machine alone, port 0 is any that is free. If empty,
        there is no listener.
    """

    bind: str = "127.0.0.1:8600"

    def __post_init__(self) -> None:
        if self.bind and self._parsed() is None:
            raise ValueError(
                f'bind must be "HOST:PORT", such as "127.0.0.1:8600" or "[::1]:8600", or "" for '
                f'no listener, got "{self.bind:.80}"'
            )

    def address(self) -> tuple[str, int]:
        """Host and port, where there is a listener."""
        found = self._parsed()
        assert found is not None, "there is none"
        return found

    def _parsed(self) -> tuple[str, int] | None:
        match = _ADDRESS.fullmatch(self.bind)
        if match is None or int(match[3]) > _PORT_MAX:
            return None
        return match[1] or match[2] or _LOOPBACK, int(match[3])


def address_text(host: str, port: int) -> str:
    """As one writes it into a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
