"""Entity state for a person: looked at beside a run, changed while there is none."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import EMBEDDED, KafkaAdmin, described
from sentinel.adapters.redis import RedisStateStore
from sentinel.config import Config
from sentinel.core.features.state import FeatureState, layout_of
from sentinel.core.features.story import EntityStory, story
from sentinel.engine.store.history import forget_state
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.data.pending_labels import forget_kept
from sentinel.operations.stores import feedback_documents, open_started_state
from sentinel.stored.blobs import OWNED


@asynccontextmanager
async def state_to_look_at(
    config: Config, directory: Path = embedded.DIRECTORY
) -> AsyncIterator[RedisStateStore]:
    """The state store; that of embedded mode is started if no run in this folder has it open."""
    if config.redis.url == EMBEDDED:
        if (found := embedded.addresses(directory)) is None:
            async with state_to_change(config, directory) as (_, store):
                yield store
            return
        config = replace(config, redis=replace(config.redis, url=found[1]))
    layout = layout_of(config.entities, config.features)
    async with RedisStateStore(config.redis, layout=layout) as store:
        yield store


@asynccontextmanager
async def state_to_change(
    config: Config, directory: Path = embedded.DIRECTORY
) -> AsyncIterator[tuple[Config, RedisStateStore]]:
    """The state store while no instance uses it, and the configuration with its address.

    Raises ConfigError when one does.
    """
    async with AsyncExitStack() as stack:
        if embedded.is_wanted(config):
            stack.enter_context(embedded.run_folder(directory))
        if config.redis.url == EMBEDDED:
            servers = EmbeddedServers(directory / "servers", kafka=False)
            await stack.enter_async_context(servers)
            config = replace(config, redis=replace(config.redis, url=servers.redis_url))
        if not embedded.is_kafka_wanted(config):
            await _refuse_company(config)
        yield config, await stack.enter_async_context(open_started_state(config))


async def entity_story(config: Config, entity: str, key: str) -> EntityStory | None:
    """What the store knows of one entity. Raises ConfigError if there is no such kind."""
    state = FeatureState(
        config.entities,
        config.features,
        amount_decimals=config.schema.amount_decimals,
        partition_count=config.topics.partition_count,
        entities_max=2,
    )
    if entity not in state.tables:
        kinds = ", ".join(state.tables)
        raise ConfigError(f'"{entity}" is no kind of entity: there are {kinds}')
    async with state_to_look_at(config) as store:
        if state.tables[entity].plan.shared:
            (blobs,) = await store.load_shared(entity, [key], {})
        else:
            (blob,) = await store.load_owned(entity, [key], {})
            blobs = {} if blob is None else {OWNED: blob}
    return story(state, entity, key, blobs)


async def forget_entities(config: Config, directory: Path = embedded.DIRECTORY) -> int:
    """Forget all entities of this deployment; returns how many keys there were.

    Votes and labels, too, where their log has ended with an embedded broker: sent once more, they
    would be known, and change nothing.
    """
    async with state_to_change(config, directory) as (config, store):
        count = await forget_state(store)
        if embedded.is_kafka_wanted(config):
            forget_kept(directory)
            async with feedback_documents(config.redis) as documents:
                count += await documents.clear(doing="forget votes and labels")
    return count


async def _refuse_company(config: Config) -> None:
    """No instance may be in the group: what it saves would be mixed with what is written."""
    async with KafkaAdmin(config.kafka) as admin:
        members = await admin.group_members(config.kafka.group_id)
    if members:
        raise ConfigError(
            f"the group {config.kafka.group_id} is at work, {described(members)}: "
            "stop every instance first"
        )
