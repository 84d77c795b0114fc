"""`sentinel config show`, `apply` and `reset`: settings in force, and changed while it runs."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption, login_name
from sentinel.cli.texts import PlainConsole, age_text, echo, echo_json
from sentinel.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from sentinel.operations.operating.applying import ConfigChange
    from sentinel.stored.switches import AppliedConfig

config = command_group("Which settings are in force; change those that may while it runs.")

SectionArgument = Annotated[
    str, typer.Argument(metavar="[SECTION]", help="Only these, such as policy. [default: all]")
]
WhoApplies = Annotated[
    str, typer.Option("--who", metavar="NAME", help="Who does it. [default: your login name]")
]
WhyApplied = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason.")]


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

    written = read(config_file)
    written.config()  # what is wrong with the file is said first
    applied = _applied(config_file)
    found = settings_of(written, applied, is_builtin=config_file is None)
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
        over = "" if one.file_value is None else f", over {setting_value_text(one.file_value)}"
        table.add_row(
            one.path,
            setting_value_text(one.value),
            "" if one.default == one.value else setting_value_text(one.default),
            one.origin + over,
            "yes" if one.can_reload else "restart",
        )
    PlainConsole().print(table)
    if applied.values:
        echo(applied_words(applied))


def _applied(config_file: Path | None) -> "AppliedConfig":
    """What is applied; nothing, and a line, where that cannot be asked."""
    from sentinel.operations import embedded
    from sentinel.operations.operating.applying import applied_settings
    from sentinel.stored.switches import AppliedConfig

    try:
        return asyncio.run(applied_settings(embedded.running_from(config_file)))
    except (ConfigError, TransientError) as error:
        echo(f"sentinel: whether anything is applied over the file is not known: {error}", err=True)
        return AppliedConfig()


def applied_words(applied: "AppliedConfig") -> str:
    """Who has applied what is in force, and when."""
    from sentinel.operations.models.registry import now_ms

    why = f": {applied.why}" if applied.why else ""
    return (
        f"applied by {applied.who}, {age_text(now_ms() - applied.at_ms)} ago, over the files of "
        f"all instances, until `sentinel config reset`{why}"
    )


@config.command("apply")
def apply_config(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The file. [default: that of --config]")
    ] = None,
    config_file: ConfigOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Apply nothing if anything needs a restart.")
    ] = False,
    who: WhoApplies = "",
    why: WhyApplied = "",
) -> None:
    """Have all running instances take up what of a file may change while they run."""
    from sentinel.operations import embedded
    from sentinel.operations.operating.applying import (
        apply_settings,
        waiting_for_restart,
        wanted_of,
    )
    from sentinel.operations.operating.telling import restart_lines, setting_text

    if (wanted_file := file or config_file) is None:
        raise ConfigError("name the FILE whose settings are to be applied")
    wanted = wanted_of(wanted_file)
    settings, by = embedded.running_from(config_file or file), login_name(who)
    for path in wanted.overridden:
        echo(f"sentinel: {setting_text(path)} is applied as the file says; a variable of this "
             "environment says something else", err=True)  # fmt: skip
    instance, waiting = asyncio.run(waiting_for_restart(settings, wanted))
    if waiting and strict:
        lines = "\n".join(restart_lines(waiting))
        raise ConfigError(f"nothing is applied (--strict): {instance} runs with others\n{lines}")
    changed = asyncio.run(apply_settings(settings, wanted, who=by, why=why))
    _tell_config_change(changed)
    for line in restart_lines(waiting):
        echo(line)
    if waiting:
        echo(f"the rest of the file is otherwise than that of {instance}, and was left alone")


@config.command("reset")
def reset_config(
    config_file: ConfigOption = None, who: WhoApplies = "", why: WhyApplied = ""
) -> None:
    """Take back what was applied: every instance goes by its own file again."""
    from sentinel.operations import embedded
    from sentinel.operations.operating.applying import reset_settings

    settings, by = embedded.running_from(config_file), login_name(who)
    _tell_config_change(asyncio.run(reset_settings(settings, who=by, why=why)))


def _tell_config_change(changed: "ConfigChange") -> None:
    from sentinel.operations.operating.telling import setting_text, setting_value_text

    if changed.after.values:
        for path, (before, after) in changed.changed.items():
            was = "as in each instance's file" if before is None else setting_value_text(before)
            echo(f"{setting_text(path)}: {was} → {setting_value_text(after)}")
    if not changed.is_new:
        echo("nothing changes: it is so already")
    if changed.after.values:
        echo(applied_words(changed.after))
    elif changed.is_new:
        echo("nothing is applied any more: every instance goes by its own file")
    if changed.untold:
        echo(
            "sentinel: it is done, and running instances see it within seconds; one of them tells "
            f"the audit when the broker is back: {changed.untold}",
            err=True,
        )
