"""`sentinel experiments plan`: size and duration, before anything is started."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, LabelColumn
from sentinel.cli.texts import PlainConsole, echo_json
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from sentinel.config import Config
    from sentinel.core.experiments.planning.designs import PlanParams
    from sentinel.operations.experiments.plan import ExperimentPlan

_SHARES, _OVERLAPS, _DURATIONS = "0.5,0.1", "0.6,0.8", "7,14,28,56"


def plan_experiment(
    file: Annotated[
        Path | None,
        typer.Argument(help="A history with labels, as for train; none: what is archived."),
    ] = None,
    config: ConfigOption = None,
    label_column: LabelColumn = None,
    effect: Annotated[
        float, typer.Option(help="The least change worth finding: 0.1 is a tenth less fraud.")
    ] = 0.1,
    power: Annotated[float, typer.Option(help="How probably it is to be found.")] = 0.8,
    alpha: Annotated[
        float, typer.Option(help="How often equal arms may be told apart, both sides.")
    ] = 0.05,
    looks: Annotated[int, typer.Option(help="Looks until the planned end.")] = 20,
    shares: Annotated[
        str, typer.Option(metavar="A,B", help="Shares of the challenger, of split designs.")
    ] = _SHARES,
    overlaps: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Of paired designs: the share of the champion's frauds that both find.",
        ),
    ] = _OVERLAPS,
    durations: Annotated[
        str, typer.Option(metavar="A,B", help="Days of which the least effect is told.")
    ] = _DURATIONS,
    days: Annotated[int, typer.Option(min=1, help="Days of the archive to look at.")] = 120,
    recall: Annotated[
        float, typer.Option(help="Of a file: the share of the frauds that is alerted on.")
    ] = 0.5,
    maturity: Annotated[
        float | None,
        typer.Option(metavar="DAYS", help="How long labels take. [default: as they have taken]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """How long an experiment takes, and what it can find: split by accounts, or paired."""
    from sentinel.cli.experiments.plan_tables import plan_as_object, show_plan
    from sentinel.codec.records import encode
    from sentinel.config import load
    from sentinel.core.experiments.planning.designs import PlanParams

    _check(recall, maturity)
    try:
        params = PlanParams(
            effect=effect,
            power=power,
            alpha=alpha,
            looks=looks,
            shares=_numbers("--shares", shares),
            overlaps=_numbers("--overlaps", overlaps),
            days=_numbers("--durations", durations),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    settings = load(config)
    if file is None:
        found = _of_archive(settings, params, days, maturity)
    else:
        found = _of_file(file, settings, label_column, params, recall, maturity)
    if as_json:
        echo_json(encode(plan_as_object(found)))
        return
    show_plan(PlainConsole(), found)


def _of_archive(
    settings: "Config", params: "PlanParams", days: int, maturity: float | None
) -> "ExperimentPlan":
    from datetime import UTC, datetime

    from sentinel.operations.experiments.plan import plan_from_archive

    now = datetime.now(UTC)
    return plan_from_archive(settings, params, days=days, maturity_days=maturity, now=now)


def _of_file(
    file: Path,
    settings: "Config",
    label_column: str | None,
    params: "PlanParams",
    recall: float,
    maturity: float | None,
) -> "ExperimentPlan":
    from sentinel.cli.data.sources import tell_refusals, transaction_file
    from sentinel.cli.progress import progress_bar
    from sentinel.operations.experiments.plan import plan_from_file

    told = PlainConsole(stderr=True)
    source = transaction_file(file, settings, label_column, needs_labels=True)
    with progress_bar(told) as progress:
        task = progress.add_task(f"reading {file.name or file}", total=source.row_count())
        found, refusals = plan_from_file(
            source,
            settings,
            params,
            recall=recall,
            maturity_days=maturity,
            on_rows=lambda count: progress.advance(task, count),
        )
    tell_refusals(told, refusals)
    return found


def _check(recall: float, maturity: float | None) -> None:
    if not 0 < recall < 1:
        raise ConfigError(f"--recall {recall:g}: must lie between 0 and 1")
    if maturity is not None and not 0 <= maturity <= 3_650:
        raise ConfigError(f"--maturity {maturity:g}: must be in 0..3650 days")


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise ConfigError(f'{name} "{text}": must be numbers, separated by commas') from error
