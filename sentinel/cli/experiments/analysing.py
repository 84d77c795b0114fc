"""`sentinel experiments analyse`: a file of outcomes, without a stream."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sentinel.cli.texts import PlainConsole, echo_json

_COLUMN = "COLUMN"


def analyse_file(
    file: Annotated[
        Path, typer.Argument(help="Outcomes of an experiment: Parquet, CSV, JSON lines.")
    ],
    looks: Annotated[
        int, typer.Option(metavar="N", help="How often it is looked at; its end is the last look.")
    ] = 20,
    control: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="What the others are compared with. [default: control]"),
    ] = None,
    better: Annotated[
        Literal["higher", "lower"], typer.Option(help="Which outcome is the better one.")
    ] = "higher",
    shares: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="Of accounts, as control=0.9,challenger=0.1 or 0.9,0.1. [default: equal]",
        ),
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar=_COLUMN, help="Account, card or customer.")
    ] = None,
    arm: Annotated[str | None, typer.Option(metavar=_COLUMN, help="The arm it was in.")] = None,
    time: Annotated[str | None, typer.Option(metavar=_COLUMN, help="When it was.")] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar=_COLUMN, help="What came of it: a number, or yes and no.")
    ] = None,
    amount: Annotated[
        str | None, typer.Option(metavar=_COLUMN, help="Money, which weighs the outcome.")
    ] = None,
    covariate: Annotated[
        str | None,
        typer.Option(metavar=_COLUMN, help="Of the account, from before the experiment (CUPED)."),
    ] = None,
    primary: Annotated[
        Literal["outcome", "amount"],
        typer.Option(help="What decides: the outcome, or the outcome weighed by money."),
    ] = "outcome",
    alpha: Annotated[
        float, typer.Option(help="How often equal arms may be told apart, whatever the looks.")
    ] = 0.05,
    worth: Annotated[
        float, typer.Option(help="The least gain worth a change, relative to the control.")
    ] = 0.2,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """Which arm is better? The statistics of the stream, on a file of outcomes."""
    from sentinel.cli.experiments.analysis import analysis_object, show_analysis
    from sentinel.codec.records import encode
    from sentinel.operations.experiments.files.analyse import analyse_outcomes
    from sentinel.operations.experiments.files.analysis import AnalyseOptions
    from sentinel.operations.experiments.files.columns import OutcomeColumns

    columns = OutcomeColumns(account, arm, time, outcome, amount, covariate)
    options = AnalyseOptions(looks, control, shares, better, primary, alpha, worth)
    found = analyse_outcomes(file, columns, options)
    if as_json:
        echo_json(encode(analysis_object(found)))
        return
    show_analysis(PlainConsole(), found)
