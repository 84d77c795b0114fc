"""`sentinel config show`: which settings are in force, and where they come from."""

from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole, echo_json
from sentinel.errors import ConfigError

config = command_group("Which settings are in force; change those that may while it runs.")

SectionArgument = Annotated[
    str, typer.Argument(metavar="[SECTION]", help="Only these, such as policy. [default: all]")
]


@config.command("show")
def show_config(
    section: SectionArgument = "",
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Each setting: its value, its default, where it comes from, whether it can be reloaded."""
    from rich.table import Table

    from sentinel.codec.stored import encode_stored
    from sentinel.config import read
    from sentinel.operations.operating.origins import settings_of
    from sentinel.operations.operating.telling import setting_value_text
    from sentinel.stored.switches import AppliedConfig

    found = settings_of(read(config_file), AppliedConfig(), is_builtin=config_file is None)
    wanted = section.strip("[]. ")
    shown = [one for one in found if not wanted or f"{one.path}.".startswith(f"{wanted}.")]
    if not shown:
        sections = dict.fromkeys(one.path.partition(".")[0] for one in found)
        raise ConfigError(f'there is no section "{section}"; known: {", ".join(sections)}')
    if as_json:
        echo_json(encode_stored(shown))
        return
    table = Table("setting", "value", "default", "origin", "reload")
    for one in shown:
        table.add_row(
            one.path,
            setting_value_text(one.value),
            "" if one.default == one.value else setting_value_text(one.default),
            one.origin,
            "yes" if one.can_reload else "restart",
        )
    PlainConsole().print(table)
