"""A file on its way into Kafka: a bar that moves, and then what was sent."""

import uvloop

from sentinel.adapters.files import TransactionSource
from sentinel.cli.data.folding import undecided
from sentinel.cli.data.sources import tell_refusals
from sentinel.cli.progress import progress_bar
from sentinel.cli.texts import PlainConsole
from sentinel.config import Config
from sentinel.operations.data.produce import Played, Player, ProduceOptions
from sentinel.operations.data.sender import Sender


def send_file(
    name: str, source: TransactionSource, config: Config, options: ProduceOptions
) -> None:
    """Play the file and say what was sent."""
    player = Player(config, source, options)
    console = PlainConsole()
    row_count = source.row_count()
    total = min(options.count_max or row_count, max(row_count - options.skip, 0))
    with progress_bar(console) as progress:
        task = progress.add_task(f"sending {name}", total=total)

        async def main() -> Played:
            async with Sender(config) as sender:
                return await player.run(
                    sender, lambda sent: progress.update(task, completed=sent.rows)
                )

        sent = uvloop.run(main())
    console.print(f"{sent.rows:,} transactions and {sent.labels:,} labels sent")
    tell_refusals(console, player.refusals, so="expect dead letters")
    if source.undecided_count:
        console.print(undecided(source.undecided_count, config))
    if player.labels_waiting:
        console.print(f"{player.labels_waiting:,} labels were not due by the end of the file")
