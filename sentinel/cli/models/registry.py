"""`sentinel models`: which versions there are, which of them serves, and who changes that."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption, LabelColumn, NewestOption
from sentinel.cli.texts import PlainConsole, echo, echo_json, shown
from sentinel.errors import ConfigError

models = command_group("See which model serves, and change it.")

VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Such as 1.2.0.")]
WhoOption = Annotated[
    str, typer.Option(metavar="NAME", help="Who does it. [default: your login name]")
]
WhyOption = Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the history.")]
NeededWhy = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


@models.command("list")
def list_models(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Every version: its stage, what it is at the moment, and how good it was."""

    from sentinel.cli.models import tables
    from sentinel.codec.records import encode
    from sentinel.operations import embedded
    from sentinel.operations.models.registry import read_registry

    found = asyncio.run(read_registry(embedded.running_from(config)))
    if as_json:
        for version in found.versions:
            echo_json(encode(tables.facts(found, version)))
        return
    console = PlainConsole()
    console.print(tables.version_table(found))
    if not found.reports:
        console.print("no running instance has said what it serves")
    for line in tables.serving_lines(found.reports, found.registry_state.champion):
        console.print(shown(line))


@models.command("show")
def show_model(
    version: VersionArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """All that is known of a version, and what became of it."""

    from sentinel.cli.models import tables
    from sentinel.codec.records import encode
    from sentinel.operations import embedded
    from sentinel.operations.models import registry

    settings = embedded.running_from(config)
    found = asyncio.run(registry.read_registry(settings))
    manifest = registry.found_in(found, version)
    events = [
        one for one in asyncio.run(registry.read_history(settings)) if tables.concerns(one, version)
    ]
    if as_json:
        facts = tables.facts(found, version)
        echo_json(encode({**facts, "manifest": manifest, "history": events}))
        return
    console = PlainConsole()
    console.print(tables.version_line(found, version))
    console.print(tables.manifest_table(manifest))
    console.print(tables.event_table(events))


@models.command("diff")
def diff_models(
    one: VersionArgument,
    other: VersionArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where two versions differ: features, fit, window, measures."""

    from sentinel.cli.models.tables import difference_table
    from sentinel.codec.records import encode
    from sentinel.operations import embedded
    from sentinel.operations.models.registry import differences, found_in, read_registry

    found = asyncio.run(read_registry(embedded.running_from(config)))
    differing = differences(found_in(found, one), found_in(found, other))
    for name in ("version", "sha256"):
        differing.pop(name, None)
    if as_json:
        rows = {name: {one: a, other: b} for name, (a, b) in differing.items()}
        echo_json(encode(rows))
        return
    PlainConsole().print(difference_table(one, other, differing))


@models.command("at")
def show_champion_at(
    time: Annotated[str, typer.Argument(metavar="TIME", help="Such as 2026-03-01T12:00:00Z.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which version served at a time, and since when."""
    from sentinel.cli.models import tables
    from sentinel.codec.records import encode
    from sentinel.codec.times import epoch_ms
    from sentinel.core.registry.transitions import serving_at
    from sentinel.operations import embedded
    from sentinel.operations.models import registry

    at_ms = epoch_ms(time)
    if at_ms is None:
        raise ConfigError(f'"{time}" is not a time such as 2026-03-01T12:00:00Z')
    settings = embedded.running_from(config)
    events = asyncio.run(registry.read_history(settings))
    reports = asyncio.run(registry.served_at(settings, at_ms))
    champion, since = serving_at(events, at_ms), tables.last_change(events, at_ms)
    if as_json:
        facts = {"at_ms": at_ms, "champion": champion, "since": since, "reports": reports}
        echo_json(encode(facts))
        return
    echo(tables.champion_line(champion, since, at_ms))
    for line in tables.serving_lines(reports, champion, was=True):
        echo(line)


@models.command("history")
def list_changes(
    config: ConfigOption = None, limit: NewestOption = 50, as_json: JsonOption = False
) -> None:
    """Every change of the registry: when, what, by whom and why."""

    from sentinel.cli.models.tables import event_table
    from sentinel.codec.records import encode
    from sentinel.operations import embedded
    from sentinel.operations.models import registry

    events = asyncio.run(registry.read_history(embedded.running_from(config)))
    if as_json:
        for event in events[-limit:]:
            echo_json(encode(event))
        return
    console = PlainConsole()
    console.print(event_table(events[-limit:]))
    if len(events) > limit:
        console.print(f"the last {limit:,} of {len(events):,}")


@models.command("stage")
def stage_model(
    version: VersionArgument,
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Take a version from development to staging, from where it may be promoted."""
    from sentinel.cli.models.changes import by_whom, carry_out
    from sentinel.core.registry.transitions import staged

    by = by_whom(who, why)
    carry_out(config, lambda registry_state: staged(registry_state, version, **by))


@models.command("approve")
def approve_model(
    version: VersionArgument,
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Say that a version may serve; needed where updates.needs_approval is set."""
    from sentinel.cli.models.changes import by_whom, carry_out
    from sentinel.core.registry.transitions import approved

    by = by_whom(who, why)
    carry_out(config, lambda registry_state: approved(registry_state, version, **by))


@models.command("promote")
def promote_model(
    version: VersionArgument,
    why: NeededWhy,
    config: ConfigOption = None,
    who: WhoOption = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also one that is archived, or was refused.")
    ] = False,
) -> None:
    """Make a version in staging the champion: it decides from now on."""
    from sentinel.cli.models.changes import by_whom, tell
    from sentinel.core.registry.transitions import promoted
    from sentinel.operations import embedded
    from sentinel.operations.models.registry import change_registry

    by = by_whom(who, why, is_needed=True)
    settings = embedded.running_from(config)
    is_needed = settings.updates.needs_approval
    changed = change_registry(
        settings,
        [
            lambda registry_state: promoted(
                registry_state, version, **by, approval_needed=is_needed, force=force
            )
        ],
    )
    tell(asyncio.run(changed))


@models.command("rollback")
def roll_back_model(
    why: NeededWhy,
    config: ConfigOption = None,
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="[default: the champion before]")
    ] = "",
    who: WhoOption = "",
) -> None:
    """Take the champion away, and let one that served before it decide again."""
    from sentinel.cli.models.changes import by_whom, carry_out
    from sentinel.core.registry.transitions import rolled_back

    by = by_whom(who, why, is_needed=True)
    carry_out(config, lambda registry_state: rolled_back(registry_state, **by, to=to or None))


@models.command("archive")
def archive_model(
    version: VersionArgument,
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Withdraw a version that has not served."""
    from sentinel.cli.models.changes import by_whom, carry_out
    from sentinel.core.registry.transitions import archived

    by = by_whom(who, why)
    carry_out(config, lambda registry_state: archived(registry_state, version, **by))


@models.command("shadow")
def shadow_model(
    version: Annotated[
        str, typer.Argument(metavar="VERSION|none", help="Such as 1.2.0; none ends it.")
    ],
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Let a version score beside the champion, without deciding anything."""
    from sentinel.cli.models.changes import by_whom, carry_out
    from sentinel.core.registry.transitions import shadowed

    by = by_whom(who, why)
    name = None if version == "none" else version
    carry_out(config, lambda registry_state: shadowed(registry_state, name, **by))


@models.command("import")
def import_model(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[FILE|VERSION]",
            help="A model of LightGBM (text) or XGBoost (JSON, UBJSON); or a version of "
            "model.directory, as trained there.",
        ),
    ] = "",
    config: ConfigOption = None,
    folder: Annotated[
        Path | None,
        typer.Option("--file", metavar="FOLDER", help="With model.txt and manifest.json."),
    ] = None,
    version: Annotated[
        str, typer.Option("--as", metavar="VERSION", help="Of a file. [default: the next]")
    ] = "",
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A history on which the model was not trained: calibrates and measures it.",
        ),
    ] = None,
    label_column: LabelColumn = None,
    by_position: Annotated[
        bool,
        typer.Option("--by-position", help="Its columns are [[features]] in their order."),
    ] = False,
    trained_until: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="It has seen no transaction of then or later. [default: where the history begins, "
            "or now]",
        ),
    ] = "",
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Try a model as serving would use it, take it into the registry, and stage it."""
    from sentinel.cli.models.changes import by_whom, tell
    from sentinel.cli.models.imports import FileOptions, tried_version
    from sentinel.operations import embedded
    from sentinel.operations.models.registry import add

    options = FileOptions(version, history, label_column, by_position, trained_until)
    settings = embedded.running_from(config)
    given, source = tried_version(what, folder, options, settings, config)
    by = by_whom(who, why.strip() or f"imported from {source}")
    tell(asyncio.run(add(settings, given, who=by["who"], why=by["why"])))


@models.command("export")
def export_model(
    version: VersionArgument,
    folder: Annotated[Path, typer.Argument(help="Where to write model.txt and manifest.json.")],
    config: ConfigOption = None,
) -> None:
    """Write a version to a folder, from where it can be imported."""
    from sentinel.adapters.registry import write_folder
    from sentinel.operations import embedded
    from sentinel.operations.models.registry import artifact

    write_folder(folder, asyncio.run(artifact(embedded.running_from(config), version)))
    echo(f"{version} is in {folder}: model.txt and manifest.json")
