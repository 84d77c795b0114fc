"""What operators have said comes to hold on this instance.

A record on `control` has every instance look at once, and all look now and then without one. While
the store is away, or what it holds is damaged, everything stays as it was.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sentinel.engine.control import ControlPlane
from sentinel.engine.operating.desk import OperatingDesk
from sentinel.engine.patience import Patience
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.ports import OperatingStore, Tail
from sentinel.records import AuditEntry
from sentinel.stored.switches import (
    SWITCHES,
    AppliedConfig,
    ConfigInForce,
    Switches,
    SwitchName,
)

log = logging.getLogger(__name__)

_LOOK_S = 3.0
_BELL_COUNT_MAX = 1_000
_RETRY_S, _RETRY_S_MAX = 0.5, 5.0
_PENDING_COUNT_MAX = 100  # of what waits to be told while the store or the broker is away
_TELL_LATER_LOOKS = 2  # whoever has said something tells it, unless that dies


@dataclass(slots=True)
class OperatingMemory:
    """What was last known, for the next instance of the same process.

    Attributes
    ----------
    configs
        By version, what of the configuration was in force here and is to be remembered.
    entries
        What the audit is to get of this instance alone.
    """

    switches: Switches = field(default_factory=Switches)
    configs: dict[str, ConfigInForce] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)

    def note(self, config: ConfigInForce) -> None:
        """Remember a configuration, as soon as it can be."""
        self.configs.setdefault(config.version, config)
        while len(self.configs) > _PENDING_COUNT_MAX:
            del self.configs[next(iter(self.configs))]

    def add(self, entry: AuditEntry) -> None:
        """Tell the audit, as soon as it can be."""
        self.entries = [*self.entries, entry][-_PENDING_COUNT_MAX:]


class OperatingTask:
    """Follows switches and applied settings.

    Parameters
    ----------
    control
        Where it is, is told what whoever said it has not told.
    take
        Lets applied settings hold here; raises ConfigError where they do not fit.

    Attributes
    ----------
    trouble
        Why something that was said does not hold here; empty if all does.
    """

    def __init__(
        self,
        store: OperatingStore,
        tail: Tail,
        desk: OperatingDesk,
        control: ControlPlane,
        memory: OperatingMemory,
        take: Callable[[AppliedConfig], None],
    ) -> None:
        self._store = store
        self._tail = tail
        self._desk = desk
        self._control = control
        self._memory = memory
        self._take = take
        self._seen: AppliedConfig | None = None
        self._is_untold = False  # whether the audit has yet to get something, when last seen
        self._untold_looks = 0
        self.trouble = ""

    @property
    def switches(self) -> Switches:
        """What is switched, as far as is known here."""
        return self._memory.switches

    @property
    def maintenance(self) -> str:
        """Who has switched maintenance mode on, and why; empty while it is off."""
        switch = self.switches.maintenance
        return "" if switch is None else f"by {switch.who}: {switch.why or 'no reason given'}"

    def asks(self, *names: SwitchName) -> Callable[[], bool]:
        """Whether any of these is paused, to be asked at any time."""
        return lambda: any(self.switches.is_paused(name) for name in names)

    async def begin(self) -> None:
        """Know what was said before the first record; a store that is away keeps nobody waiting."""
        try:
            await self.look()
        except TransientError as error:
            log.warning("what is paused, and what was applied, is not known yet: %s", error)

    async def run(self) -> None:
        """Follow until cancelled; while the store is away everything stays as it was."""
        patience = Patience(
            "what operators say cannot be followed", wait_s=_RETRY_S, wait_s_max=_RETRY_S_MAX
        )
        while True:
            try:
                await self.look()
                await self._settle()
                await self._tail.poll(timeout_s=_LOOK_S, count_max=_BELL_COUNT_MAX)
                patience.over()
            except TransientError as error:
                await patience.failed(error)

    async def look(self) -> None:
        """Let what the store says now hold here."""
        troubles, untold = [], 0
        try:
            now = await self._store.switches()
            untold += len(now.untold)
            self._switch(now)
        except RecordError as error:
            troubles.append(f"what is paused is damaged in the store: {error.detail}")
        try:
            applied = await self._store.applied()
            untold += len(applied.untold)
            self._apply(applied)
        except RecordError as error:
            troubles.append(f"the applied configuration is damaged in the store: {error.detail}")
        except ConfigError as error:
            troubles.append(str(error))
        trouble = "; ".join(troubles)
        if trouble and trouble != self.trouble:
            log.error("%s", trouble)
        self.trouble, self._is_untold = trouble, untold > 0

    def _switch(self, now: Switches) -> None:
        before, self._memory.switches = self._memory.switches, now
        for name in SWITCHES:
            switch = now.of(name)
            if switch == before.of(name):
                continue
            what = "maintenance mode" if name == "maintenance" else name
            if switch is None:
                log.warning("%s", "maintenance mode is over" if what != name else f"{name} goes on")
            else:
                state = "begins" if what != name else "is paused"
                log.warning("%s %s: by %s: %s", what, state, switch.who, switch.why or "no reason")

    def _apply(self, now: AppliedConfig) -> None:
        told = replace(now, untold=(), number=0)
        if self._seen == told:
            return
        self._take(now)
        self._seen = told

    async def _settle(self) -> None:
        """Remember configurations, and tell what nobody else tells."""
        for version in list(self._memory.configs):
            await self._store.keep_config(self._memory.configs[version])
            self._memory.configs.pop(version, None)
        if entries := self._memory.entries:
            await self._desk.tell(entries)
            self._memory.entries = [one for one in self._memory.entries if one not in entries]
        await self._tell_for_others()

    async def _tell_for_others(self) -> None:
        is_ours = self._is_untold and self._control.is_here
        self._untold_looks = self._untold_looks + 1 if is_ours else 0
        if self._untold_looks > _TELL_LATER_LOOKS and await self._desk.tell_untold():
            self._untold_looks = 0
