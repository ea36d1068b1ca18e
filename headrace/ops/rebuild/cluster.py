"""The cluster in which a rebuild runs, and the preconditions of the rebuild.

No stream worker may run, because workers hold the states in memory. All events that they have
applied must be in `events`, and all results that they have published must be in SQL.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from sqlalchemy import Connection, select

from headrace.admin.clients import open_clients, read_record
from headrace.errors import UserError
from headrace.ops.audit.snapshot import read_snapshot
from schemas.headers import SOURCE, Source, find
from schemas.positions import position
from schemas.settings import DatabaseSettings, Settings
from schemas.topic_prefix import prefixed
from schemas.topics import EVENTS_RAW, Topic
from sinks.app import APP_ID as SINKS
from sinks.sql.tables import ConsumerOffsetRow, table_of
from streams.app import APP_ID as STREAMS
from streams.engine.cluster import read_epoch
from streams.engine.offsets import STARTING_ERRORS, committed_offsets
from streams.engine.stream_time import limited

#: A killed worker remains a member of its group until its session times out after 10 s.
STOPPED_TIMEOUT_SECONDS = 11.0
_STORED_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.5

_retry_while_loading = stamina.retry(on=STARTING_ERRORS, attempts=20, timeout=15, wait_max=1)

#: For each partition, the first event that the agent has not applied.
NextEvents = Mapping[int, Source]


class Cluster:
    """Checks and queries of the cluster, before and after a rebuild."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, epoch: int) -> None:
        self._admin: Any = admin
        self._consumer: Any = consumer
        self.epoch = epoch

    async def check_stopped(
        self,
        groups: Collection[str],
        still_running: Callable[[Mapping[str, int]], str],
        seconds: float = STOPPED_TIMEOUT_SECONDS,
    ) -> None:
        """Wait until these consumer groups have no members.

        Raises `UserError` if a group has members after `seconds`. `still_running` returns the
        message, given the number of members by group.
        """
        deadline = time.monotonic() + seconds
        while True:
            members = {prefixed(group): await self._members(group) for group in groups}
            if not any(members.values()):
                return
            if time.monotonic() > deadline:
                raise UserError(still_running({g: n for g, n in members.items() if n}))
            await asyncio.sleep(_POLL_SECONDS)

    async def check_stored(self, database: DatabaseSettings, published: Topic) -> None:
        """Wait until the sinks have stored all records of `events-raw` and of `published`.

        Raises `UserError` if that takes too long, or the database belongs to another cluster.
        """
        if behind := await self.wait_until_stored(database, [EVENTS_RAW, published]):
            raise UserError(
                f"The sinks lag behind: {', '.join(behind)}. Let `headrace sinks` (or "
                "`headrace up`) run until they have caught up, stop the streams, and run this "
                "again"
            )

    async def wait_until_stored(
        self, database: DatabaseSettings, topics: Sequence[Topic]
    ) -> Sequence[str]:
        """Wait until the sinks have stored the records that these topics have now.

        Return the partitions that still lag after 30 s, as phrases. Raises `UserError` if the
        database belongs to another cluster.
        """
        partitions = [
            TopicPartition(topic.name, partition)
            for topic in topics
            for partition in await self.partitions(topic)
        ]
        ends = await self._consumer.end_offsets(partitions)
        here = (await self.cluster_id(), self.epoch)
        deadline = time.monotonic() + _STORED_TIMEOUT_SECONDS
        while behind := await self._behind(database, here, ends):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return behind

    async def next_events(self, topic: Topic) -> NextEvents:
        """Return the next event of each partition for the agent whose input is `topic`.

        If the agent has applied all events, this is the end offset of `events-raw`.
        """
        committed = await _retry_while_loading(committed_offsets)(self._admin, prefixed(STREAMS))
        return {
            partition: await self._next_event(topic, partition, committed)
            for partition in await self.partitions(EVENTS_RAW)
        }

    async def partitions(self, topic: Topic) -> list[int]:
        """Return the partitions of a topic; raises `UserError` if it does not exist."""
        [found] = await self._admin.describe_topics([topic.name])
        if found["error_code"]:
            raise UserError(
                f"There is no topic {topic.name}: run `headrace topics create`, or `headrace up`"
            )
        return list(range(len(found["partitions"])))

    async def offset_ranges(
        self, partitions: Collection[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Return the beginning and end offsets of the partitions that exist."""
        begins = await self._consumer.beginning_offsets(partitions)
        return begins, await self._consumer.end_offsets(partitions)

    async def cluster_id(self) -> str:
        """Return the cluster id of Kafka."""
        return str((await self._admin.describe_cluster())["cluster_id"])

    @_retry_while_loading
    async def _members(self, group: str) -> int:
        [response] = await self._admin.describe_consumer_groups([prefixed(group)])
        for error_code, *_ in response.groups:
            if error_code:
                raise for_code(error_code)
        return sum(len(found[5]) for found in response.groups)

    async def _behind(
        self, database: DatabaseSettings, here: tuple[str, int], ends: Mapping[TopicPartition, int]
    ) -> list[str]:
        rows = await read_snapshot(
            database, lambda snapshot: _positions(snapshot.connection), lambda _: None
        )
        if any((row["cluster_id"], row["kafka_epoch"]) != here for row in rows.values()):
            raise UserError(
                f"The database has results of another Kafka cluster than {here[0]} in epoch "
                f"{here[1]}: configure a database and a cluster that belong together, or run "
                "`headrace adopt-cluster` to continue the database with this cluster"
            )
        stored = {tp: row["next_offset"] for tp, row in rows.items()}
        return [
            f"{tp.topic}/{tp.partition} is at {stored.get(tp, 0)} of {end}"
            for tp, end in ends.items()
            if stored.get(tp, 0) < end
        ]

    async def _next_event(
        self, topic: Topic, partition: int, committed: Mapping[TopicPartition, int]
    ) -> Source:
        """Return the first event that the agent has not applied, or the router has not routed."""
        routed = TopicPartition(topic.name, partition)
        record = await read_record(self._consumer, routed, committed.get(routed, 0))
        if record is not None:
            packed = find(record.headers, SOURCE)
            # A foreign record, without a source: assume that no event was applied.
            return Source(partition, 0, 0) if packed is None else _limit(Source.unpack(packed))
        raw = TopicPartition(EVENTS_RAW.name, partition)
        record = await read_record(self._consumer, raw, committed.get(raw, 0))
        if record is not None:
            return _limit(Source(partition, position(self.epoch, record.offset), record.timestamp))
        end = (await self._consumer.end_offsets([raw]))[raw]
        last = await read_record(self._consumer, raw, end - 1) if end else None
        now_ms = int(time.time() * 1_000) if last is None else last.timestamp
        return _limit(Source(partition, position(self.epoch, end), now_ms))


@asynccontextmanager
async def open_cluster(settings: Settings, failed: str) -> AsyncIterator[Cluster]:
    """Yield the cluster. If Kafka fails, raises `UserError` with `failed` as the last sentence."""
    async with open_clients(settings.kafka, failed) as (admin, consumer):
        yield Cluster(admin, consumer, await read_epoch(settings.kafka))


def _limit(src: Source) -> Source:
    """Limit a log time as the workers do: a time in the future would close every visit."""
    return src._replace(log_ms=limited(src.log_ms, int(time.time() * 1_000)))


def _positions(connection: Connection) -> dict[TopicPartition, dict[str, Any]]:
    table = table_of(ConsumerOffsetRow)
    rows = connection.execute(select(table).where(table.c.app == SINKS)).mappings()
    return {TopicPartition(row["topic"], row["partition"]): dict(row) for row in rows}
