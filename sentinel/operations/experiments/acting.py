"""What a person does with experiments: creates, starts, ramps, pauses, stops and settles them."""

from dataclasses import dataclass

from sentinel.config import Config
from sentinel.core.experiments import transitions
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.transitions import Step
from sentinel.engine.experiments.desk import StoredChange, change_stored
from sentinel.errors import ConfigError
from sentinel.operations.data.sender import Sender, tell_all
from sentinel.operations.experiments.guards import GuardState, guard_states
from sentinel.operations.models.registry import now_ms
from sentinel.operations.said import checked_text
from sentinel.operations.stores import open_experiments, open_models
from sentinel.ports import ExperimentStore
from sentinel.stored.experiments import (
    EXPERIMENT_COUNT_MAX,
    Definition,
    StoredExperiment,
    StoredVerdict,
)
from sentinel.stored.looks import LookReport

_KNOWN_COUNT_MAX = 12  # that are named where one is not found


@dataclass(frozen=True, slots=True)
class ExperimentChanged:
    """How an experiment is now, and why the topics do not tell of it; empty when they do."""

    after: StoredExperiment
    unpublished: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An experiment with its looks, the first one first, and with how its guardrails stand."""

    stored: StoredExperiment
    looks: list[LookReport]
    guards: list[GuardState]


async def change_experiment(
    config: Config, name: str, step: Step, *, who: str, why: str
) -> ExperimentChanged:
    """Take a step, and tell of it. Raises ConfigError, which says why it cannot be."""
    who, why = checked_text("--who", who, is_needed=True), checked_text("--why", why)
    name = checked_text("NAME", name, is_needed=True)
    async with open_experiments(config.redis) as store:
        try:
            done = await change_stored(store, name, step, who=who, why=why, at_ms=now_ms())
        except ValueError as error:
            raise ConfigError(await _explained(store, name, error)) from error
    return ExperimentChanged(done.after, await _told(config, done))


async def _told(config: Config, done: StoredChange) -> str:
    async def tell(sender: Sender) -> None:
        await sender.experiment(done.record)
        await sender.audit([] if done.entry is None else [done.entry])

    return await tell_all(config, tell)


async def _explained(store: ExperimentStore, name: str, error: ValueError) -> str:
    known = [one.definition.name for one in await store.experiments(EXPERIMENT_COUNT_MAX)]
    if name in known or not known:
        return str(error)
    return f"{error}; there are: {', '.join(known[:_KNOWN_COUNT_MAX])}"


async def create_experiment(config: Config, wanted: Definition, *, who: str) -> ExperimentChanged:
    """Keep a draft."""
    step = transitions.create(wanted)
    return await change_experiment(config, wanted.name, step, who=who, why="created")


async def start_experiment(config: Config, name: str, *, who: str) -> ExperimentChanged:
    """Let a draft run. Raises ConfigError without a secret; embedded mode has one of its own."""
    secret = config.experiments.secret
    if not secret:
        raise ConfigError(
            "[experiments] secret is empty: whoever can choose account names could choose their "
            "arms. Set SENTINEL__EXPERIMENTS__SECRET, the same for every instance"
        )
    async with open_models(config.redis) as models:
        registry_state = await models.registry_state()
    champion = registry_state.champion
    if champion is None:
        raise ConfigError("the registry has no champion yet: `sentinel run` brings it its first")
    stages = registry_state.stages
    servable = [version for version, stage in stages.items() if stage in ("staging", "production")]
    step = transitions.start(
        at_ms=now_ms(),
        champion=champion,
        key_check=key_check(key_of(secret)),
        holdout=config.experiments.holdout,
        servable=servable,
    )
    return await change_experiment(config, name, step, who=who, why="started")


def stopping(why: str) -> Step:
    """The end by a person."""
    return transitions.stop(StoredVerdict("stopped", why or "somebody has stopped it"))


async def list_experiments(config: Config, count: int) -> list[StoredExperiment]:
    """Those that changed last, first."""
    async with open_experiments(config.redis) as store:
        return await store.experiments(count)


async def show_experiment(config: Config, name: str) -> Shown:
    """One, with all its looks. Raises ConfigError if there is none."""
    name = checked_text("NAME", name, is_needed=True)
    async with open_experiments(config.redis) as store:
        stored = await store.experiment(name)
        if stored is None:
            known = [one.definition.name for one in await store.experiments(_KNOWN_COUNT_MAX)]
            there = f"; there are: {', '.join(known)}" if known else ": there is none yet"
            raise ConfigError(f'there is no experiment "{name}"{there}')
        definition = stored.definition
        kept = await store.guards(definition.id)
        guards = guard_states(definition, config.experiments.guardrails, kept)
        return Shown(stored, await store.looks(definition.id), guards)
