"""Compare the topics of a cluster with what headrace needs."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from headrace.admin.clients import open_admin
from headrace.admin.topic_settings import read_configs, routed_retention
from headrace.errors import UserError
from kafka_clients.problems import CHECKED_CONFIGS, wrong_configs
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.topics import EVENTS_RAW, OPTIONAL_CONFIGS, SALTS, TOPICS, Topic

_IN_SYNC = "min.insync.replicas"
_RETENTION = "retention.ms"
#: The value of an infinite retention.
_INFINITE = -1


class Difference(NamedTuple):
    """A difference of a topic: a sentence with its consequence, and what to do.

    Results do not depend on differences that are not `required`.
    """

    topic: str
    sentence: str
    fix: str
    required: bool = True


async def check_topics(kafka: KafkaSettings) -> list[Difference]:
    """Return the differences of all topics, in the order of the data flow. Raises UserError."""
    async with open_admin(kafka) as admin:
        try:
            described = await admin.describe_topics([topic.name for topic in TOPICS])
            found = {one["topic"]: one["partitions"] for one in described if not one["error_code"]}
            existing = [topic for topic in TOPICS if topic.name in found]
            configs = await read_configs(admin, existing)
        except KafkaError as error:
            raise UserError(f"Kafka did not describe the topics: {error!r}") from error
    values = {
        name: {key: value for key, (value, _) in entries.items()}
        for name, entries in configs.items()
    }
    return [
        difference
        for topic in TOPICS
        for difference in _differences(topic, found.get(topic.name), values, kafka)
    ]


def _differences(
    topic: Topic,
    partitions: list[Any] | None,
    configs: Mapping[str, Mapping[str, str]],
    kafka: KafkaSettings,
) -> Iterator[Difference]:
    if partitions is None:
        yield Difference(topic.name, "does not exist", "run `headrace topics create`")
        return
    if len(partitions) != kafka.partitions:
        yield Difference(
            topic.name,
            f"has {counted(len(partitions), 'partition')}, not {kafka.partitions}",
            f"set HEADRACE_KAFKA__PARTITIONS to {len(partitions)} if all topics have as many; "
            "`headrace repartition` adds partitions",
        )
    replicas = min(len(one["replicas"]) for one in partitions)
    if replicas < kafka.replication_factor:
        yield Difference(
            topic.name,
            f"has {counted(replicas, 'replica')} of each partition, not {kafka.replication_factor}",
            "add replicas with kafka-reassign-partitions.sh, or set "
            f"HEADRACE_KAFKA__REPLICATION_FACTOR to {replicas}",
        )
    yield from _config_differences(topic, configs, kafka)


def _config_differences(
    topic: Topic, configs: Mapping[str, Mapping[str, str]], kafka: KafkaSettings
) -> Iterator[Difference]:
    own = configs[topic.name]
    for name, expected in wrong_configs(topic, own).items():
        yield _wrong(topic, name, own[name], expected, CHECKED_CONFIGS[name])
    if _RETENTION in topic.configs():
        yield from _retention_differences(topic, own, configs.get(EVENTS_RAW.name, own))
    in_sync = str(kafka.min_insync_replicas)
    for name, expected in {**topic.configs(), _IN_SYNC: in_sync}.items():
        # A cluster may not know a config.
        if name in OPTIONAL_CONFIGS and name in own and not _suffices(name, own[name], expected):
            yield _wrong(topic, name, own[name], expected, OPTIONAL_CONFIGS[name], required=False)


def _retention_differences(
    topic: Topic, own: Mapping[str, str], raw: Mapping[str, str]
) -> Iterator[Difference]:
    actual, expected = own[_RETENTION], topic.configs()[_RETENTION]
    if (needed := routed_retention(topic, own, raw)) is not None:
        why = f"its records would expire before those of {EVENTS_RAW.name}"
        yield _wrong(topic, _RETENTION, actual, needed, why)
    elif topic == SALTS and (int(actual) == _INFINITE or int(actual) > int(expected)):
        why = "visitors could be recognized for longer"
        yield _wrong(topic, _RETENTION, actual, expected, why)
    elif int(actual) != _INFINITE and int(actual) < int(expected):
        why = "a role that is down for longer loses records"
        yield _wrong(topic, _RETENTION, actual, expected, why, required=False)


def _suffices(name: str, actual: str, expected: str) -> bool:
    if name == "segment.ms":
        return int(actual) <= int(expected)
    return int(actual) >= int(expected)


def _wrong(  # noqa: PLR0913 - keyword arguments
    topic: Topic, name: str, actual: str, expected: str, why: str, *, required: bool = True
) -> Difference:
    value = f"[{expected}]" if "," in expected else expected
    return Difference(
        topic.name,
        f"has {name}={actual} instead of {expected}: {why}",
        "kafka-configs.sh --alter --entity-type topics "
        f"--entity-name {topic.name} --add-config {name}={value}",
        required,
    )
