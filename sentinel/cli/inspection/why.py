"""`sentinel why`: the whole story of a transaction, and whether it would be told again."""

from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import echo
from sentinel.errors import ConfigError


def why(
    transaction: Annotated[
        str, typer.Argument(help="Its identifier; none with --replay: all.")
    ] = "",
    config: ConfigOption = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Score again from the archive: is it the same?")
    ] = False,
) -> None:
    """Why a transaction was decided so: features, reasons, votes, labels."""
    from sentinel.adapters.archive import ParquetArchive
    from sentinel.cli.inspection.story import replay_line, show_account, show_policy, show_votes
    from sentinel.config import load
    from sentinel.operations import embedded
    from sentinel.operations.why import account_of, scored_again

    settings = load(config)
    files = ParquetArchive(settings.archive)
    if not replay and not transaction:
        raise ConfigError("name a transaction, or give --replay for all that are archived")
    try:
        settings, is_running = embedded.running(settings), True
    except ConfigError:  # what is archived outlives it
        is_running = False
    if transaction:
        account = account_of(files, settings, transaction)
        show_account(account)
        if is_running:
            show_policy(settings, account.decision)
            show_votes(settings, transaction)
        else:
            echo("the votes are shown while `sentinel run` is running")
    if not replay:
        return
    found = scored_again(files, settings, transaction)
    for one in found:
        echo(replay_line(one))
    if not found:
        echo("the archive holds no decision")
    if any(one.differing_count for one in found):
        raise typer.Exit(1)
