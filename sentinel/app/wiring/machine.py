"""Wires what looks at the machine."""

from dataclasses import dataclass

from sentinel.app.wiring.shared import Shared, clock_s
from sentinel.engine.health import total_lag
from sentinel.engine.machine.clock import RecordClock
from sentinel.engine.machine.disks import Disks
from sentinel.engine.machine.relief import Relief
from sentinel.engine.scoring.entities import EntityLoader


@dataclass(frozen=True, slots=True)
class MachineWatch:
    """What looks at memory, disks and the clock."""

    relief: Relief
    disks: Disks
    record_clock: RecordClock

    async def run(self) -> None:
        """Look every second, until cancelled."""
        await self.relief.run(self.disks.judge)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is not as it should be; empty ones among them."""
        return self.relief.trouble, self.disks.trouble, self.record_clock.trouble


def machine_watch(shared: Shared, loader: EntityLoader) -> MachineWatch:
    """What looks at the machine that this instance runs on."""
    params, broker, machine = shared.config.engine, shared.ports.broker, shared.ports.machine
    relief = Relief(
        machine,
        shared.state.tables.values(),
        shared.metrics,
        batch_count_max=params.batch_count_max,
        is_store_away=lambda: loader.away_since_s is not None,
        clock_s=clock_s,
    )
    record_clock = RecordClock(
        lag=lambda: total_lag(broker, [one.at for one in shared.partitions.values()]),
        clock_ms=machine.clock_ms,
        clock_s=clock_s,
        skew_s_max=params.clock_skew_s_max,
    )
    return MachineWatch(relief, Disks(params.disk_mb_min), record_clock)
