"""`sentinel experiments create`: what is to be compared, written down."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.cli.options import ConfigOption, login_name
from sentinel.errors import ConfigError

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="TOML with [experiment]; or say it here.")
]
NameOption = Annotated[str, typer.Option(metavar="NAME", help="What it is called.")]
DesignOption = Annotated[
    str | None, typer.Option(help="split, canary, ramp or shadow. [default: split]")
]
ArmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="NAME=SETTINGS",
        help="What is compared with the champion: version=1.2.0, policy.review_min=0.1, or several "
        "with commas between them; again for each.",
    ),
]
EqualOption = Annotated[bool, typer.Option("--aa", help="Two equal arms, to try it all out.")]
ShareOption = Annotated[
    float | None,
    typer.Option(help="Of the accounts, all --arm together. [default: 0.5; canary 0.05]"),
]
MetricOption = Annotated[
    str | None, typer.Option(metavar="METRIC", help="What decides. [default: fraud_loss]")
]
DurationOption = Annotated[
    str | None, typer.Option(help="Until the planned end, event time. [default: 28d]")
]
LooksOption = Annotated[int | None, typer.Option(help="Looks until then. [default: 20]")]
LayerOption = Annotated[
    str | None,
    typer.Option(help="Those of one layer are on different accounts. [default: main]"),
]
TrafficOption = Annotated[
    float | None, typer.Option(help="The share of the layer that takes part. [default: 1]")
]
StepsOption = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Of a ramp: shares, the last of them that of --share."),
]
StepOption = Annotated[
    str | None, typer.Option(help="How long a step lasts at least, event time. [default: 1d]")
]
SegmentOption = Annotated[
    list[str] | None,
    typer.Option(
        "--segment", metavar="FIELD=A,B", help="Only transactions with one of these values."
    ),
]
MaturityOption = Annotated[
    str | None,
    typer.Option(help="How old a transaction must be to count. [default: as labels take]"),
]
AlphaOption = Annotated[
    float | None, typer.Option(help="How often equal arms are told apart. [default: 0.05]")
]
EffectOption = Annotated[
    float | None,
    typer.Option(help="The least gain that matters, relative to the control. [default: 0.1]"),
]
PromoteOption = Annotated[
    bool, typer.Option("--promote", help="Have the registry promote a winning model by itself.")
]
GuardrailsOption = Annotated[
    bool,
    typer.Option(
        "--guardrails-only",
        help="Of a canary: it wins where no guardrail stops it; no label is waited for.",
    ),
]
WhoCreates = Annotated[
    str, typer.Option(metavar="NAME", help="Who does it. [default: your login name]")
]


def create_draft(
    file: FileArgument = None,
    config: ConfigOption = None,
    name: NameOption = "",
    design: DesignOption = None,
    arm: ArmOption = None,
    equal: EqualOption = False,
    share: ShareOption = None,
    metric: MetricOption = None,
    duration: DurationOption = None,
    looks: LooksOption = None,
    layer: LayerOption = None,
    traffic: TrafficOption = None,
    steps: StepsOption = None,
    step: StepOption = None,
    segment: SegmentOption = None,
    maturity: MaturityOption = None,
    alpha: AlphaOption = None,
    effect: EffectOption = None,
    promote: PromoteOption = False,
    guardrails_only: GuardrailsOption = False,
    who: WhoCreates = "",
) -> None:
    """Write down what is to be compared: a draft, until it is started."""
    from sentinel.cli.experiments.acting import tell_change
    from sentinel.cli.experiments.sentences import definition_lines
    from sentinel.operations import embedded
    from sentinel.operations.experiments import defining
    from sentinel.operations.experiments.acting import create_experiment

    settings, by = embedded.running_from(config), login_name(who)
    given: dict[str, Any] = {
        "metric": metric,
        "duration": duration,
        "looks": looks,
        "layer": layer,
        "traffic": traffic,
        "steps": None if steps is None else _shares(steps),
        "step": step,
        "segments": _segments(segment) if segment else None,
        "maturity": maturity,
        "alpha": alpha,
        "effect": effect,
        "may_promote": promote or None,
        "decides": "guardrails" if guardrails_only else None,
    }
    others = {key: value for key, value in given.items() if value is not None}
    if file is None:
        if not name:
            raise ConfigError("give a FILE, or --name and what is compared, such as --arm")
        asked = defining.WantedExperiment(name, design or "split", arm or (), equal, share, others)
        wanted = defining.definition_of_options(asked, settings)
    elif others or name or design or arm or equal or share is not None:
        raise ConfigError("give a FILE or options that say what is compared, not both")
    else:
        wanted = defining.definition_of_file(file, settings)
    changed = asyncio.run(create_experiment(settings, wanted, who=by))
    tell_change(settings, changed, definition_lines(changed.after.definition))


def _shares(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError as error:
        raise ConfigError(f'--steps "{text[:80]}" must be shares such as 0.01,0.05,0.5') from error


def _segments(texts: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        field, equals, values = text.partition("=")
        if not equals:
            raise ConfigError(f'--segment "{text[:80]}" must be FIELD=VALUE, or FIELD=A,B')
        found.setdefault(field, []).extend(one for one in values.split(",") if one)
    return found
