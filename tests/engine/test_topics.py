"""The table of topics against the settings that name them."""

from sentinel.engine.params import TopicParams
from sentinel.engine.topics import TOPICS
from sentinel.operations.topics import topic_demands, topic_specs
from tests.engine.samples import a_config

WEEK_MS = 7 * 86_400_000


def test_every_topic_that_can_be_named_is_in_the_table_once() -> None:
    names = TopicParams()

    assert [getattr(names, topic.setting) for topic in TOPICS] == names.names()


def test_whoever_writes_and_reads_is_named_and_nothing_is_written_for_nobody() -> None:
    assert all(topic.writers and topic.readers for topic in TOPICS)


def test_what_state_is_built_from_is_kept_as_long_as_features_look_back() -> None:
    config = a_config(partition_count=3)

    specs = {spec.name: spec for spec in topic_specs(config)}
    demands = {one.name: one for one in topic_demands(config, {})}

    assert specs["transactions"].partition_count == specs["alerts"].partition_count == 3
    assert specs["labels"].partition_count == 1
    for name, spec in specs.items():
        wanted = demands[name].history_ms
        assert (spec.retention_ms is None) == (wanted == 0)
        assert spec.retention_ms is None or spec.retention_ms >= max(wanted, WEEK_MS)


def test_topics_in_full_are_those_with_the_prefix() -> None:
    params = TopicParams(prefix="audit", audit="audit", partition_count=7)

    full = params.in_full()

    assert full.names() == [params.full(name) for name in params.names()]
    assert (full.full(full.audit), full.partition_count) == ("auditaudit", 7)
