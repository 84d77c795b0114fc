"""The commands of the model registry, and their options."""

from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption, LabelColumn

models = typer.Typer(help="See which model serves, and change it.")

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
    from sentinel.cli.models.registry import list_command

    list_command(config, as_json=as_json)


@models.command("show")
def show_model(
    version: VersionArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """All that is known of a version, and what became of it."""
    from sentinel.cli.models.registry import show_command

    show_command(version, config, as_json=as_json)


@models.command("diff")
def diff_models(
    one: VersionArgument,
    other: VersionArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where two versions differ: features, fit, window, measures."""
    from sentinel.cli.models.registry import diff_command

    diff_command(one, other, config, as_json=as_json)


@models.command("at")
def model_at(
    time: Annotated[str, typer.Argument(metavar="TIME", help="Such as 2026-03-01T12:00:00Z.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which version served at a time, and since when."""
    from sentinel.cli.models.registry import at_command

    at_command(time, config, as_json=as_json)


@models.command("history")
def model_history(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many of the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Every change of the registry: when, what, by whom and why."""
    from sentinel.cli.models.registry import history_command

    history_command(config, limit=limit, as_json=as_json)


@models.command("stage")
def stage_model(
    version: VersionArgument,
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Take a version from development to staging, from where it may be promoted."""
    from sentinel.cli.models.registry import stage_command

    stage_command(version, config, who=who, why=why)


@models.command("approve")
def approve_model(
    version: VersionArgument,
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Say that a version may serve; needed where updates.needs_approval is set."""
    from sentinel.cli.models.registry import approve_command

    approve_command(version, config, who=who, why=why)


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
    from sentinel.cli.models.registry import promote_command

    promote_command(version, config, who=who, why=why, force=force)


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
    from sentinel.cli.models.registry import roll_back_command

    roll_back_command(config, to=to, who=who, why=why)


@models.command("archive")
def archive_model(
    version: VersionArgument,
    config: ConfigOption = None,
    who: WhoOption = "",
    why: WhyOption = "",
) -> None:
    """Withdraw a version that has not served."""
    from sentinel.cli.models.registry import archive_command

    archive_command(version, config, who=who, why=why)


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
    from sentinel.cli.models.registry import shadow_command

    shadow_command(version, config, who=who, why=why)


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
    label_column: LabelColumn = "is_fraud",
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
    from sentinel.cli.models.imports import FileOptions, import_command

    options = FileOptions(version, history, label_column, by_position, trained_until)
    import_command(what, config, folder=folder, options=options, who=who, why=why)


@models.command("export")
def export_model(
    version: VersionArgument,
    folder: Annotated[Path, typer.Argument(help="Where to write model.txt and manifest.json.")],
    config: ConfigOption = None,
) -> None:
    """Write a version to a folder, from where it can be imported."""
    from sentinel.cli.models.registry import export_command

    export_command(version, folder, config)
