"""How far the pipeline has come: whether results can be computed anew beneath it.

Stream workers hold the tables in memory, so none may run. And what they have applied must be
in `events`, and what they have published in SQL: else it would be lost, or come back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from sqlalchemy import Connection, select

from infra.database import run_once
from infra.errors import UserError
from kafka_clients.clients import make_admin, make_consumer
from schemas.headers import SOURCE, Source, find
from schemas.kafka_names import prefixed
from schemas.positions import position
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import EVENTS_RAW, Topic
from sinks.app import APP_ID as SINKS
from sinks.sql.tables import ConsumerOffsetRow, table_of
from streams.app import APP_ID as STREAMS
from streams.engine.cluster import read_epoch
from streams.engine.offsets import STARTING_ERRORS, committed_offsets
from streams.engine.stream_time import limited

#: A worker that was killed stays a member until its session ends, 10 s.
_MEMBERS_SECONDS = 11.0
_STORED_SECONDS = 30.0
_RECORD_SECONDS = 30.0
_POLL_SECONDS = 0.5

_once_loaded = stamina.retry(on=STARTING_ERRORS, attempts=20, timeout=15, wait_max=1)

#: The next event of each partition that the agent has not applied yet.
Standing = Mapping[int, Source]


class Cluster:
    """What is asked of the cluster before and after a rebuild."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, epoch: int) -> None:
        self._admin: Any = admin
        self._consumer: Any = consumer
        self.epoch = epoch

    async def check_stopped(
        self,
        groups: Collection[str],
        still_running: Callable[[Mapping[str, int]], str],
        seconds: float = _MEMBERS_SECONDS,
    ) -> None:
        """Return when these consumer groups have no workers.

        `UserError` when some still have after a while: `still_running` returns its message, given
        how many by group.
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
        """Return when the sinks have stored all events, and all of the topic `published`.

        `UserError` when they do not in time, or the database is another cluster's.
        """
        places = [
            TopicPartition(topic.name, partition)
            for topic in (EVENTS_RAW, published)
            for partition in await self.partitions(topic)
        ]
        ends = await self._consumer.end_offsets(places)
        here = (await self.cluster_id(), self.epoch)
        deadline = time.monotonic() + _STORED_SECONDS
        while behind := await self._behind(database, here, ends):
            if time.monotonic() > deadline:
                raise UserError(
                    f"The sinks have not stored all yet: {', '.join(behind)}. Let `headrace sinks` "
                    "(or `headrace up`) run until they have, stop the streams, and run this again"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def standing(self, agents: Topic) -> Standing:
        """Return the next event of each partition for the agent that reads the topic `agents`.

        Where it has applied all, that is the end of `events-raw`, at the last log time.
        """
        committed = await _once_loaded(committed_offsets)(self._admin, prefixed(STREAMS))
        return {
            partition: await self._next(agents, partition, committed)
            for partition in await self.partitions(EVENTS_RAW)
        }

    async def partitions(self, topic: Topic) -> list[int]:
        """Return the partitions of a topic; `UserError` when it is not there."""
        [found] = await self._admin.describe_topics([topic.name])
        if found["error_code"]:
            raise UserError(f"There is no topic {topic.name}: nothing was ever computed here")
        return list(range(len(found["partitions"])))

    async def ranges_of(
        self, places: Collection[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Return the begin and end offsets of those of the partitions that exist."""
        begins = await self._consumer.beginning_offsets(places)
        return begins, await self._consumer.end_offsets(places)

    async def cluster_id(self) -> str:
        """Return Kafka's id of the cluster."""
        return str((await self._admin.describe_cluster())["cluster_id"])

    @_once_loaded
    async def _members(self, group: str) -> int:
        [response] = await self._admin.describe_consumer_groups([prefixed(group)])
        for error_code, *_ in response.groups:
            if error_code:
                raise for_code(error_code)
        return sum(len(found[5]) for found in response.groups)

    async def _behind(
        self, database: DatabaseSettings, here: tuple[str, int], ends: Mapping[TopicPartition, int]
    ) -> list[str]:
        rows = await run_once(database, _positions)
        if any((row["cluster_id"], row["kafka_epoch"]) != here for row in rows.values()):
            raise UserError(
                f"The database holds results of another Kafka cluster than {here[0]} in epoch "
                f"{here[1]}: name the database and the Kafka that belong together, or have the "
                "database take this one over with `headrace adopt-cluster`"
            )
        stored = {place: row["next_offset"] for place, row in rows.items()}
        return [
            f"{place.topic}/{place.partition} is at {stored.get(place, 0)} of {end}"
            for place, end in ends.items()
            if stored.get(place, 0) < end
        ]

    async def _next(
        self, agents: Topic, partition: int, committed: Mapping[TopicPartition, int]
    ) -> Source:
        """Return the first event that the agent has not applied, or else the router not routed."""
        routed = TopicPartition(agents.name, partition)
        record = await self._record(routed, committed.get(routed, 0))
        if record is not None:
            packed = find(record.headers, SOURCE)
            # Without a source it is no event of ours: then nothing is taken for applied.
            return Source(partition, 0, 0) if packed is None else _limited(Source.unpack(packed))
        raw = TopicPartition(EVENTS_RAW.name, partition)
        record = await self._record(raw, committed.get(raw, 0))
        if record is not None:
            return _limited(
                Source(partition, position(self.epoch, record.offset), record.timestamp)
            )
        end = (await self._consumer.end_offsets([raw]))[raw]
        last = await self._record(raw, end - 1) if end else None
        now_ms = int(time.time() * 1_000) if last is None else last.timestamp
        return _limited(Source(partition, position(self.epoch, end), now_ms))

    async def _record(self, place: TopicPartition, offset: int) -> Any:
        """Return the first record from an offset on; None where there is none."""
        begins, ends = await self.ranges_of([place])
        first = max(offset, begins[place])
        if first >= ends[place]:
            return None
        self._consumer.assign([place])
        self._consumer.seek(place, first)
        async with asyncio.timeout(_RECORD_SECONDS):
            return await self._consumer.getone(place)


@asynccontextmanager
async def open_cluster(settings: Settings, failed: str) -> AsyncIterator[Cluster]:
    """Give the cluster; `UserError` that ends with the sentence `failed` when Kafka fails."""
    kafka = settings.kafka
    admin, consumer = make_admin(kafka), make_consumer(kafka)
    try:
        await admin.start()
        await consumer.start()
        yield Cluster(admin, consumer, await read_epoch(kafka))
    except (KafkaError, OSError, TimeoutError) as error:
        raise UserError(
            f"Kafka at {kafka.bootstrap_servers} failed: {error or 'it does not answer'}. {failed}"
        ) from error
    finally:
        await consumer.stop()
        await admin.close()


def _limited(src: Source) -> Source:
    """Limit a log time as the workers do: a record ahead of time would close every visit."""
    return src._replace(log_ms=limited(src.log_ms, int(time.time() * 1_000)))


def _positions(connection: Connection) -> dict[TopicPartition, dict[str, Any]]:
    table = table_of(ConsumerOffsetRow)
    rows = connection.execute(select(table).where(table.c.app == SINKS)).mappings()
    return {TopicPartition(row["topic"], row["partition"]): dict(row) for row in rows}
