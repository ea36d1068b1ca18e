"""Checks of the cluster before a worker starts: topics, partitions, cluster epoch."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from kafka_clients.clients import make_admin
from schemas.codec import CodecError, decode
from schemas.headers import find
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.records import ClusterEpoch
from schemas.topics import CLUSTER_EPOCHS, Topic
from streams.engine.log_tail import LogTail
from streams.engine.producer import StoppingError

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1


#: The header of a `ClusterEpoch`: the offset at which the epoch begins in each partition of
#: `events-raw`, as JSON; without it, 0. It is written by `headrace repartition` (ADR 74).
EPOCH_STARTS = "starts"


class Epoch(NamedTuple):
    """The epoch of a cluster, and where it begins in each partition of `events-raw`."""

    number: int = 0
    starts: Mapping[int, int] = {}


class Cluster(NamedTuple):
    """A Kafka cluster: its id, and its epoch in this installation."""

    cluster_id: str
    epoch: int


class ClusterError(Exception):
    """The cluster does not match the settings; the message says what to do."""


class _TopicMissingError(ClusterError):
    """A topic does not exist yet."""


async def wait_for_cluster(
    kafka: KafkaSettings, topics: Sequence[Topic], partitions: int, stop: asyncio.Event
) -> Cluster:
    """Return the cluster once it is available and has the topics.

    Raises `ClusterError` if a topic has a different number of partitions, because keys would move
    to other partitions and split sessions; `StoppingError` if `stop` is set first.
    """
    logged = ""
    while not stop.is_set():
        try:
            return await _check(kafka, topics, partitions)
        except (KafkaError, OSError) as error:
            reason = f"Kafka does not answer at {kafka.bootstrap_servers} ({error})"
        except _TopicMissingError as error:
            reason = str(error)
        if reason != logged:
            log.warning("%s; waiting for it", reason)
            logged = reason
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await stop.wait()
    raise StoppingError("stopped before the cluster was available")


async def read_epoch(kafka: KafkaSettings) -> int:
    """Return the highest epoch in the cluster's topic; 0 if no database adopted the cluster."""
    return (await find_epoch(kafka)).number


async def find_epoch(kafka: KafkaSettings) -> Epoch:
    """Return the highest epoch in the cluster's topic; 0 if no database adopted the cluster."""
    found = Epoch()
    tail = LogTail(kafka, CLUSTER_EPOCHS.name, sys.maxsize)
    async for records in tail.catch_up(0):
        for record in records:
            with contextlib.suppress(CodecError):
                number = decode(record.value or b"", ClusterEpoch).epoch
                if number >= found.number:
                    found = Epoch(number, _starts(record))
    return found


def _starts(record: Any) -> dict[int, int]:
    packed = find(record.headers, EPOCH_STARTS)
    return {} if packed is None else msgspec.json.decode(packed, type=dict[int, int])


async def _check(kafka: KafkaSettings, topics: Sequence[Topic], partitions: int) -> Cluster:
    admin = make_admin(kafka)
    try:
        await admin.start()
        described = await admin.describe_topics([topic.name for topic in topics])
        cluster = await admin.describe_cluster()
    finally:
        await admin.close()
    keeps_partitions = {topic.name for topic in topics if topic.is_global}
    for found in described:
        if found["error_code"]:
            raise _TopicMissingError(
                f"The topic {found['topic']} does not exist (`headrace topics create` creates it)"
            )
        count = len(found["partitions"])
        if count != partitions and found["topic"] not in keeps_partitions:
            raise ClusterError(
                f"The topic {found['topic']} has {counted(count, 'partition')}, but "
                f"HEADRACE_KAFKA__PARTITIONS is {partitions}: set it to {count}, or run "
                "`headrace repartition` again if it did not finish"
            )
    return Cluster(str(cluster["cluster_id"]), await read_epoch(kafka))
