"""`sentinel status`: what runs, what waits for what, and what needs a person, on one screen."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole, age_text, echo_json

if TYPE_CHECKING:
    from sentinel.operations.overview import Overview

_SHOWN_MAX = 8  # of each kind, so that all of it stays on one screen


def status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """The whole system on one screen: what runs, what waits for what, and what needs you."""
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.overview import overview

    found = asyncio.run(overview(embedded.running_from(config)))
    if as_json:
        echo_json(encode_stored(found))
        return
    console = PlainConsole()
    for title, lines in _sections(found):
        for i, line in enumerate(lines):
            console.print(f"{title if i == 0 else '':<12} {line}", soft_wrap=True)


def _sections(found: "Overview") -> list[tuple[str, list[str]]]:
    from sentinel.operations.overview import needs_a_person

    wanted = needs_a_person(found)
    return [
        ("instances", _instances(found)),
        ("serving", _serving(found)),
        ("learning", _learning(found)),
        ("rollout", _rollout(found)),
        ("experiments", _experiments(found)),
        ("drift", _drift(found)),
        ("paused", _paused(found)),
        ("needs you", _some(wanted) if wanted else ["nothing"]),
    ]


def _some(lines: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = [f"… and {len(lines) - _SHOWN_MAX:,} more"] if len(lines) > _SHOWN_MAX else []
    return [*lines[:_SHOWN_MAX], *more]


def _instances(found: "Overview") -> list[str]:
    if not found.instances:
        return ["none has said anything for 45 s"]
    lines = []
    for one in found.instances:
        why = f": {'; '.join(one.health_reasons)}" if one.health_reasons else ""
        pinned = ", pinned by its configuration" if one.is_pinned else ""
        lines.append(f"{one.instance} {one.health or 'runs'}, serves {one.version}{pinned}{why}")
    return _some(lines)


def _serving(found: "Overview") -> list[str]:
    state = found.registry_state
    if state.champion is None:
        return ["no model yet"]
    shadow = f"; shadow {state.shadow}" if state.shadow else ""
    before = f"; before it {state.before[-1]}" if state.before else ""
    return [f"champion {state.champion}{before}{shadow}"]


def _learning(found: "Overview") -> list[str]:
    from sentinel.cli.models.learning import awaited_summary, headline, is_at_work

    update = found.update
    lines = [headline(update)] if update is not None and update.number else ["no update yet"]
    if found.outlook is not None and not is_at_work(update):
        lines.append(f"the next update waits for {awaited_summary(found.outlook)}")
    return lines


def _rollout(found: "Overview") -> list[str]:
    from sentinel.cli.rollouts.sentences import rollout_line

    return ["none yet"] if found.rollout is None else [rollout_line(found.rollout, found.at_ms)]


def _experiments(found: "Overview") -> list[str]:
    from sentinel.cli.experiments.sentences import standing_lines

    return _some([standing_lines(one)[0] for one in found.experiments]) or ["none runs"]


def _drift(found: "Overview") -> list[str]:
    from sentinel.cli.drift.sentences import alarm_headline

    lines = [
        f"{one.severity}: {alarm_headline(one)}, for {age_text(one.changed_ms - one.opened_ms)}"
        for one in found.alarms
    ]
    return _some(lines) or ["nothing open"]


def _paused(found: "Overview") -> list[str]:
    from sentinel.cli.operate.switches import switch_words
    from sentinel.stored.switches import SWITCHES

    if (switches := found.switches) is None:
        return ["not known"]
    names = [name for name in SWITCHES if switches.of(name) is not None]
    return [f"{name} {switch_words(switches, name)}" for name in names] or ["nothing"]
