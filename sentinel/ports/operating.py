"""What operators have said: kept once for all instances."""

from typing import Protocol

from sentinel.stored.switches import AppliedConfig, ConfigInForce, Switches


class OperatingStore(Protocol):
    """Switches and applied settings. Raises TransientError when out of reach.

    What is read raises RecordError where it is damaged.
    """

    async def switches(self) -> Switches:
        """What is switched; nothing before the first."""
        ...

    async def change_switches(self, before: Switches, after: Switches) -> bool:
        """Put one in the place of the other; False if `before` is not what is there any more."""
        ...

    async def applied(self) -> AppliedConfig:
        """What was applied over the files; nothing before the first."""
        ...

    async def change_applied(self, before: AppliedConfig, after: AppliedConfig) -> bool:
        """As of switches."""
        ...

    async def keep_config(self, config: ConfigInForce) -> None:
        """Remember what a version of the configuration says; the newest CONFIG_COUNT_MAX are."""
        ...

    async def config(self, version: str) -> ConfigInForce | None:
        """What a version says; None where that is not known (any more)."""
        ...

    async def configs(self, count: int) -> list[ConfigInForce]:
        """Those that came into force last, first."""
        ...
