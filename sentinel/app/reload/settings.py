"""What of the configuration is in force on this instance, and where it comes from.

Settings come from the file, go under the environment's variables, and under what was applied to all
instances. What may change while an instance runs is exchanged as a whole; the rest stays as it was
at the start, whatever the file says by now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sentinel.config import Config
from sentinel.engine.operating.following import OperatingMemory
from sentinel.errors import ConfigError
from sentinel.operations.operating.layers import (
    reloadable_values,
    rest_of,
    setting_changes,
    setting_values,
    with_values,
)
from sentinel.operations.operating.reloadable import RELOADABLE, is_reloadable
from sentinel.stored.switches import AppliedConfig

_SECTIONS = sorted({name.partition(".")[0] for name in RELOADABLE})


@dataclass(frozen=True, slots=True)
class Reread:
    """What came of reading the file once more.

    Attributes
    ----------
    changed
        By setting what it was and what it is from now on.
    restart
        Settings that the file has changed, and that stay as they are until a restart.
    held
        Settings that the file has otherwise than what was applied, which goes over it.
    """

    changed: Mapping[str, tuple[Any, Any]]
    restart: tuple[str, ...]
    held: tuple[str, ...]


class LiveSettings:
    """The settings of one process, which outlive its instances.

    Parameters
    ----------
    loaded
        As the file and the environment had them at the start.
    running
        The same, completed by what only this run knows, such as the addresses of its servers.
    read
        Reads the file and the environment once more; raises ConfigError.

    Attributes
    ----------
    in_force
        What holds now. Its version is what an instance would have that is started with it.
    applied
        What was applied to all instances; over the file.
    readers
        Are handed what is in force whenever it changes, between two batches.
    memory
        What operators have said, as last known; and what the store and the audit are to get.
    trouble
        Why something that was said is not in force here; empty if it is.
    """

    def __init__(
        self, loaded: Config, running: Config, read: Callable[[], Config] | None = None
    ) -> None:
        self._start = self._file = loaded
        self._running = self.in_force = running
        self._read = read or (lambda: loaded)
        self.applied = AppliedConfig()
        self.readers: Sequence[Callable[[Config], None]] = ()
        self.memory = OperatingMemory()
        self.trouble = ""

    def read(self) -> Config:
        """The file as it is now, checked: for a thread. Raises ConfigError."""
        return self._read()

    def take_file(self, found: Config) -> Reread:
        """Let what may change be as the file says, where nothing else was applied."""
        restart = [
            path
            for path in setting_changes(setting_values(self._start), setting_values(found))
            if not is_reloadable(path)
        ]
        file = with_values(self._start, reloadable_values(found))
        changed = self._put(file, self.applied)
        now, said = reloadable_values(self.in_force), reloadable_values(found)
        return Reread(changed, tuple(restart), tuple(setting_changes(now, said)))

    def take_applied(self, applied: AppliedConfig) -> Mapping[str, tuple[Any, Any]]:
        """Let what was applied go over the file. Raises ConfigError where it does not fit here."""
        try:
            return self._put(self._file, applied)
        except ConfigError as error:
            raise ConfigError(
                f"what {applied.who} has applied does not fit this instance's file: {error}"
            ) from error

    def _put(self, file: Config, applied: AppliedConfig) -> Mapping[str, tuple[Any, Any]]:
        known = reloadable_values(file)
        over = {path: value for path, value in applied.values.items() if path in known}
        whole = with_values(file, over)
        before = reloadable_values(self.in_force)
        self._file, self.applied = file, applied
        self.in_force = replace(
            self._running,
            version=whole.version,
            **{name: getattr(whole, name) for name in _SECTIONS},
        )
        if changed := setting_changes(before, reloadable_values(self.in_force)):
            for take in self.readers:
                take(self.in_force)
        return changed

    @property
    def rest(self) -> dict[str, str]:
        """What stays as it was at the start: of each setting a digest."""
        return rest_of(self._start)

    @property
    def unknown(self) -> list[str]:
        """Settings that were applied and that this version of Sentinel does not know."""
        return sorted(self.applied.values.keys() - reloadable_values(self._file).keys())
