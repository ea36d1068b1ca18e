"""Read the last record of each key of compacted topics."""

import logging
from typing import TypeVar

from aiokafka import TopicPartition

from headrace.admin.clients import open_admin, open_clients
from headrace.admin.records import read_records
from headrace.admin.topics import read_states
from headrace.errors import UserError
from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Record
from schemas.topics import Topic

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


async def count_partitions(kafka: KafkaSettings, topic: Topic) -> int:
    """Return the number of partitions of a topic. Raises `UserError` if it does not exist."""
    async with open_admin(kafka) as admin:
        counts = {state.topic: state.partitions for state in await read_states(admin)}
    if not (count := counts[topic]):
        raise UserError(
            f"Kafka at {kafka.bootstrap_servers} has no topic {topic.name}: run "
            "`headrace topics create`, or `headrace up` once"
        )
    return count


async def latest_values(kafka: KafkaSettings, topic: Topic) -> dict[bytes, bytes | None]:
    """Return the last value of each key of a topic; None for a tombstone.

    Raises `UserError` if Kafka fails, or the topic does not exist.
    """
    count = await count_partitions(kafka, topic)
    partitions = [TopicPartition(topic.name, number) for number in range(count)]
    async with open_clients(kafka) as (_, consumer):
        return {
            record.key: record.value
            async for record in read_records(consumer, partitions)
            if record.key is not None
        }


async def latest_records(kafka: KafkaSettings, topic: Topic, kind: type[R]) -> dict[str, R]:
    """Return the last record of each key of a topic, without deleted keys.

    Skips and logs records that cannot be decoded.
    """
    records: dict[str, R] = {}
    for key, value in (await latest_values(kafka, topic)).items():
        try:
            if value is not None:
                records[key.decode()] = decode(value, kind)
        except (CodecError, UnicodeError) as error:
            log.warning("skipping an invalid record of %s: %r: %s", topic.name, key, error)
    return records
