"""What a person does with experiments: creates, starts, ramps, pauses, stops and settles them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sentinel.config import Config
from sentinel.core.experiments import transitions
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.transitions import Step
from sentinel.engine.experiments.desk import Changed, change_stored
from sentinel.errors import ConfigError, TransientError
from sentinel.operations import embedded
from sentinel.operations.data.sender import Sender
from sentinel.operations.models.registry import now_ms
from sentinel.operations.stores import open_experiments, open_models
from sentinel.ports import ExperimentStore
from sentinel.stored.experiments import (
    EXPERIMENT_COUNT_MAX,
    Definition,
    StoredExperiment,
    StoredVerdict,
)
from sentinel.stored.looks import LookReport

TEXT_LENGTH_MAX = 2_000  # of a reason or a name


@dataclass(frozen=True, slots=True)
class ExperimentChanged:
    """How an experiment is now, and why the topics do not tell of it; empty when they do."""

    after: StoredExperiment
    unpublished: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An experiment with its looks, the first one first."""

    stored: StoredExperiment
    looks: list[LookReport]


async def change_experiment(
    config: Config, name: str, step: Step, *, who: str, why: str
) -> ExperimentChanged:
    """Take a step, and tell of it. Raises ConfigError, which says why it cannot be."""
    for text, what in ((who, "--who"), (why, "--why")):
        if len(text) > TEXT_LENGTH_MAX:
            raise ConfigError(f"{what} may have at most {TEXT_LENGTH_MAX:,} letters")
    async with open_experiments(config.redis) as store:
        try:
            done = await change_stored(store, name, step, who=who, why=why, at_ms=now_ms())
        except ValueError as error:
            raise ConfigError(await _explained(store, name, error)) from error
    return ExperimentChanged(done.after, await _told(config, done))


async def _told(config: Config, done: Changed) -> str:
    try:
        async with Sender(config) as sender:
            await sender.experiment(done.record)
            await sender.audit([] if done.entry is None else [done.entry])
            await sender.flush()
    except (ConfigError, TransientError) as error:
        return str(error)
    return ""


async def _explained(store: ExperimentStore, name: str, error: ValueError) -> str:
    known = [one.definition.name for one in await store.experiments(EXPERIMENT_COUNT_MAX)]
    if name in known or not known:
        return str(error)
    return f"{error}; there are: {', '.join(known[:12])}"


async def create_experiment(config: Config, wanted: Definition, *, who: str) -> ExperimentChanged:
    """Keep a draft."""
    step = transitions.create(wanted)
    return await change_experiment(config, wanted.name, step, who=who, why="created")


async def start_experiment(config: Config, name: str, *, who: str) -> ExperimentChanged:
    """Let a draft run. Raises ConfigError without a secret, but in embedded mode."""
    secret = config.experiments.secret
    if not secret and not embedded.is_kafka_wanted(config):
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
    async with open_experiments(config.redis) as store:
        stored = await store.experiment(name)
        if stored is None:
            known = [one.definition.name for one in await store.experiments(12)]
            there = f"; there are: {', '.join(known)}" if known else ": there is none yet"
            raise ConfigError(f'there is no experiment "{name}"{there}')
        return Shown(stored, await store.looks(stored.definition.id))


def arm_sentences(definition: Definition) -> Sequence[str]:
    """Each arm in a few words."""
    found = []
    for arm in definition.arms:
        sets = [f"model {arm.version}"] if arm.version else []
        sets += [f"{name} {value:g}" for name, value in arm.policy.items()]
        found.append(f"{arm.name} {arm.share:g}: {', '.join(sets) or 'as the champion'}")
    return found
