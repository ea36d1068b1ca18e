"""What a worker asks of the cluster before it starts."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import Topic
from streams.engine.producer import StoppingError

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.3


class ClusterError(Exception):
    """The cluster is not as the worker needs it; the message says what to do."""


class _TopicMissingError(ClusterError):
    """A topic is not there yet."""


async def wait_for_cluster(
    bootstrap_servers: str, topics: Sequence[Topic], partitions: int, stop: asyncio.Event
) -> str:
    """Return the cluster's id as soon as it answers and has the topics.

    `ClusterError` when a topic has another number of partitions: keys would move to other
    partitions, and sessions would be torn apart. `StoppingError` when `stop` is set before.
    """
    told = ""
    while not stop.is_set():
        try:
            return await _check(bootstrap_servers, topics, partitions)
        except (KafkaError, OSError) as error:
            reason = f"Kafka does not answer at {bootstrap_servers} ({error})"
        except _TopicMissingError as error:
            reason = str(error)
        if reason != told:
            log.warning("%s; waiting for it", reason)
            told = reason
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await stop.wait()
    raise StoppingError("told to end before the cluster was there")


async def _check(bootstrap_servers: str, topics: Sequence[Topic], partitions: int) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        described = await admin.describe_topics([topic.name for topic in topics])
        cluster = await admin.describe_cluster()
    finally:
        await admin.close()
    for found in described:
        if found["error_code"]:
            raise _TopicMissingError(
                f"The topic {found['topic']} is not there (`headrace topics create` makes it)"
            )
        if (count := len(found["partitions"])) != partitions:
            raise ClusterError(
                f"The topic {found['topic']} has {count} partitions, but "
                f"HEADRACE_KAFKA__PARTITIONS is {partitions}: set it to {count}, for the number "
                "is fixed when the topics are created"
            )
    return str(cluster["cluster_id"])
