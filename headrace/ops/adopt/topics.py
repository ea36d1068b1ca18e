"""Recreate the derived topics of a cluster, and commit offsets of its consumer groups."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from headrace.admin.clients import open_admin
from headrace.admin.topics import create_topics, describe_topics
from headrace.errors import UserError
from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from schemas.settings import Settings
from schemas.topics import (
    ALERT_STATES,
    ALERTS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_RAW,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
    TOPICS,
    VISITS,
    Topic,
    dead_letters_of,
)

#: The input topics of the stream workers, besides `events-raw`.
INPUTS = (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT)
#: The topics that the stream workers derive from `events-raw`.
DERIVED = (
    *(EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT),
    *(SESSIONS, VISITS, PAGE_DURATIONS, ALERT_STATES),
)

_DELETE_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.2


async def with_partitions(settings: Settings, previous: int | None) -> Settings:
    """Return the settings with the number of partitions that the topics have.

    Topics that do not exist yet get the number of the `previous` cluster, if it is known.
    """
    states = await describe_topics(settings.kafka)
    existing = next(state.partitions for state in states if state.topic is EVENTS_RAW)
    partitions = existing or previous or settings.kafka.partitions
    kafka = settings.kafka.model_copy(update={"partitions": partitions})
    return settings.model_copy(update={"kafka": kafka})


async def recreate(kafka: KafkaSettings, *, with_alerts: bool) -> None:
    """Delete and recreate the derived topics and their dead letter topics.

    Raises `UserError` if Kafka rejects the request.
    """
    wanted = {topic.name for topic in (*DERIVED, *((ALERTS,) if with_alerts else ()))}
    wanted |= {dead_letters_of(name) for name in wanted}
    topics = [topic for topic in TOPICS if topic.name in wanted]
    async with open_admin(kafka) as admin:
        await _delete(admin, topics)
    # A broker may reject the creation of a topic while it deletes the old one.
    deadline = time.monotonic() + _DELETE_TIMEOUT_SECONDS
    while True:
        try:
            await create_topics(kafka)
        except UserError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


async def _delete(admin: Any, topics: Sequence[Topic]) -> None:
    names = [topic.name for topic in topics]
    response = await admin.delete_topics(names)
    for name, code in response.topic_error_codes:
        if code not in (0, UnknownTopicOrPartitionError.errno):
            raise UserError(
                f"Kafka did not delete the topic {name}, which must be recreated: "
                f"{for_code(code).__name__}. Set delete.topic.enable, or grant the operation "
                "Delete, then run this again"
            )
    deadline = time.monotonic() + _DELETE_TIMEOUT_SECONDS
    while any(not found["error_code"] for found in await admin.describe_topics(names)):
        if time.monotonic() > deadline:
            raise UserError(
                f"Kafka has not yet deleted all of {', '.join(names)}: run this again later"
            )
        await asyncio.sleep(_POLL_SECONDS)


async def commit(kafka: KafkaSettings, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit offsets for a group without members; raises `KafkaError` if Kafka rejects them."""
    consumer = make_consumer(kafka, group_id=group)
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(dict(offsets))
    finally:
        await consumer.stop()
