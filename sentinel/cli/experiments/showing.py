"""`sentinel experiments list|show`: which there are, and how one stands."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.experiments.acting import ExperimentName
from sentinel.cli.options import ConfigOption, NewestOption
from sentinel.cli.texts import PlainConsole, echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from sentinel.operations.experiments.acting import Shown
    from sentinel.stored.experiments import StoredExperiment
    from sentinel.stored.looks import LookReport


def list_all(
    config: ConfigOption = None,
    limit: NewestOption = 50,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
) -> None:
    """Every experiment and how it stands, those that changed last first."""
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.experiments.acting import list_experiments
    from sentinel.stored.experiments import EXPERIMENT_COUNT_MAX

    settings = embedded.running_from(config)
    found = asyncio.run(list_experiments(settings, EXPERIMENT_COUNT_MAX))
    if as_json:
        for one in found[:limit]:
            echo_json(encode_stored(one))
        return
    if not found:
        echo("there is no experiment yet: `sentinel experiments create` writes one down")
        return
    console = PlainConsole()
    console.print(_experiment_table(found[:limit]))
    if len(found) > limit:
        console.print(f"the newest {limit:,} of {len(found):,}")


def _experiment_table(found: "Sequence[StoredExperiment]") -> "Table":
    from rich.table import Table

    from sentinel.cli.experiments.sentences import arm_text, step_text

    table = Table()
    names = ("experiment", "design", "status", "step", "arms", "decides", "looks", "verdict")
    for name in names:
        table.add_column(name, no_wrap=name in names[:3], overflow="fold")
    for one in found:
        definition, verdict = one.definition, one.verdict
        arms = [f"{arm.name}: {arm_text(arm)}" for arm in definition.challengers]
        said = "" if verdict is None else f"{verdict.name} {verdict.arm}".rstrip()
        table.add_row(
            definition.id,
            definition.design,
            one.status,
            step_text(one),
            "; ".join(arms),
            definition.metric,
            f"{one.look} of {definition.looks}",
            said,
        )
    return table


def show_one(
    name: ExperimentName,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """What one compares, how it stands, and what its last look has shown.

    NAME is of its newest definition, NAME@NUMBER of a former one.
    """
    from sentinel.cli.experiments.tables import look_table
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.experiments.acting import show_experiment

    settings = embedded.running_from(config)
    found = asyncio.run(show_experiment(settings, name))
    if as_json:
        echo_json(encode_stored(found))
        return
    console = PlainConsole()
    print_standing(console, found)
    if found.looks:
        decimals, last = settings.schema.amount_decimals, found.looks[-1]
        console.print(look_table(found.stored.definition, [last], decimals))
        print_look(console, last, decimals)
    if found.guards:
        console.print(_guard_table(found))


def print_standing(console: PlainConsole, found: "Shown") -> None:
    """What is compared, where it stands, and what it waits for."""
    from sentinel.cli.experiments import sentences

    stored = found.stored
    for line in sentences.definition_lines(stored.definition):
        console.print(line, soft_wrap=True)
    if started := sentences.started_text(stored):
        control = f"; the control is version {stored.control}" if stored.control else ""
        console.print(f"{started}{control}", soft_wrap=True)
    for line in sentences.standing_lines(stored):
        console.print(line, soft_wrap=True)


def print_look(console: PlainConsole, look: "LookReport", decimals: int) -> None:
    """Every metric at a look, and what has to be known to believe it."""
    from sentinel.cli.experiments import sentences
    from sentinel.cli.experiments.tables import compared_table

    if look.compared:
        console.print(compared_table(look, decimals))
    for line in (
        *sentences.shadow_lines(look, decimals),
        sentences.ratio_text(look),
        *(f"note: {note}" for note in look.notes),
    ):
        if line:
            console.print(line, soft_wrap=True)


def _guard_table(found: "Shown") -> "Table":
    from rich.table import Table

    from sentinel.cli.experiments.sentences import evidence_text

    table = Table(title="guardrails", title_justify="left")
    for name in ("arm", "guardrail", "limit", "evidence that it is exceeded"):
        table.add_column(name, justify="left" if name in ("arm", "guardrail") else "right")
    for one in found.guards:
        told = f"{evidence_text(one.evidence)} to 1, stops at {one.needed:,.0f}"
        table.add_row(one.arm, one.guardrail.replace("_", " "), f"{one.limit:g}", told)
    return table
