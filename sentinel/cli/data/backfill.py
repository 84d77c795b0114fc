"""`sentinel backfill`: what a history says of entities into the store, before the first record."""

import asyncio
from typing import TYPE_CHECKING

from sentinel.cli.options import ConfigOption, DaysOption, HistoryArgument, LabelColumn
from sentinel.cli.texts import PlainConsole

if TYPE_CHECKING:
    from rich.progress import Progress

    from sentinel.config import Config
    from sentinel.engine.store.history import StoredHistory
    from sentinel.operations.data.history import History


def backfill(
    file: HistoryArgument,
    config: ConfigOption = None,
    label_column: LabelColumn = None,
    days: DaysOption = None,
) -> None:
    """Store what a history says of every entity, so that scoring begins with it; none may run."""
    from sentinel.cli.data.folding import folded
    from sentinel.cli.data.sources import tell_refusals, transaction_file
    from sentinel.cli.progress import progress_bar
    from sentinel.config import load
    from sentinel.operations.data.backfill import backfilled_line

    settings, console = load(config), PlainConsole()
    with progress_bar(console) as progress:
        source = transaction_file(file, settings, label_column, needs_labels=False)
        history, spans = folded(source, settings, progress, day_count=days)
        for _ in spans:
            pass
        found = stored(history, settings, file.name or str(file), progress)
    console.print(backfilled_line(found))
    tell_refusals(console, history.refusals)


def stored(
    history: "History", config: "Config", source: str, progress: "Progress"
) -> "StoredHistory":
    """Store it, with a bar that moves. Raises ConfigError where an instance runs."""
    from sentinel.operations import embedded
    from sentinel.operations.data.backfill import store_history
    from sentinel.operations.data.pending_labels import tell_or_keep
    from sentinel.operations.entities.state import state_to_change

    task = progress.add_task("storing the state of entities", total=history.entity_count)

    async def main() -> "StoredHistory":
        async with state_to_change(config) as (_, store):
            return await store_history(
                *(history, store, config, source),
                on_saved=lambda count: progress.advance(task, count),
                tell=lambda labels: tell_or_keep(config, labels, embedded.DIRECTORY),
            )

    return asyncio.run(main())
