"""`sentinel audit`: what was changed of a transaction, or of one who votes, and by whom."""

from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption, NewestOption
from sentinel.cli.texts import PlainConsole, echo_json
from sentinel.errors import ConfigError


def audit(
    subject: Annotated[
        str, typer.Argument(help="A transaction, or one who votes: investigator/ann.")
    ],
    config: ConfigOption = None,
    limit: NewestOption = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """What was changed, when and by whom, with before and after."""

    from sentinel.adapters.archive import ParquetArchive
    from sentinel.cli.inspection.entries import audit_table
    from sentinel.codec.records import encode
    from sentinel.config import load
    from sentinel.operations.why import audit_of

    settings = load(config)
    entries = audit_of(ParquetArchive(settings.archive), subject)
    if not entries:
        raise ConfigError(
            f"nothing of {subject} is in the audit under {settings.archive.directory}: name a "
            "transaction, one who votes, such as investigator/ann, an update, such as update-3, "
            "a model's version, or an alarm of drift"
        )
    if as_json:
        for entry in entries[-limit:]:
            echo_json(encode(entry))
        return
    console = PlainConsole()
    console.print(audit_table(entries[-limit:]))
    if len(entries) > limit:
        console.print(f"the last {limit:,} of {len(entries):,}")
