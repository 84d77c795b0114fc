"""What there is to see of a run, for the view, the listener and the report."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from sentinel.app.archive_child import ArchiveChild
from sentinel.app.ending import CLOSE_S_MAX
from sentinel.app.instance import Instance
from sentinel.app.reload.settings import LiveSettings
from sentinel.config import Config
from sentinel.engine.health import Health
from sentinel.engine.store.history import Beginning
from sentinel.metrics import Metrics
from sentinel.stored.switches import SWITCHES, SwitchName


@dataclass(slots=True)
class Status:
    """What there is to see of a run, filled as it goes."""

    config: Config
    metrics: Metrics
    model_version: str
    begun_s: float  # monotonic, when the instance was started
    instance: Instance | None = None
    archive: ArchiveChild | None = None
    listener_trouble: Callable[[], str] = str  # why nobody is listened to; empty while all is well
    substitute: str = ""  # the version that stands in for a champion that cannot be read
    substitute_why: str = ""
    failure: str = ""  # why the instance before ended, until one has its partitions again
    first_decision_s: float | None = None  # after the process began
    has_partitions: asyncio.Event = field(default_factory=asyncio.Event)  # or once had
    settings: LiveSettings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = LiveSettings(self.config, self.config)

    def health(self) -> Health:
        """How the run is, also while there is no instance that could tell."""
        now = self.instance.health() if self.instance else Health("starting", ("connecting",))
        if self.failure and (self.instance is None or not self.instance.is_assigned):
            return Health("stuck", (f"starting again after: {self.failure}",))
        if self.substitute_why and self.substitute == self.model_version:
            why = f"model {self.substitute} stands in for the champion: {self.substitute_why}"
            now = now.beside(why)
        now = now if self.archive is None else now.beside(self.archive.trouble)
        return now.beside(self.listener_trouble())

    def paused_names(self) -> list[SwitchName]:
        """What is paused, as far as is known here; maintenance mode among it."""
        switches = self.settings.memory.switches
        return [name for name in SWITCHES if switches.of(name) is not None]

    def paused(self) -> str:
        """The same in a line, with who and why; empty where nothing is."""
        told = []
        for name in self.paused_names():
            switch = self.settings.memory.switches.of(name)
            assert switch is not None
            told.append(f"{name} by {switch.who}" + (f": {switch.why}" if switch.why else ""))
        return "; ".join(told)

    def beginning(self) -> Beginning | None:
        """What was known of entities at the start; None before there was one."""
        return None if self.instance is None else self.instance.beginning

    def grace_s(self) -> float:
        """How long it may take to hand over what is owned now."""
        is_owner = self.instance is not None and self.instance.is_assigned
        return self.config.engine.shutdown_s_max + CLOSE_S_MAX if is_owner else 0.0
