"""How far the pipeline has come: whether results can be computed anew beneath it.

Stream workers hold the tables in memory, so none may run. And what they have applied must be
in `events`, and what they have published in SQL: else it would be lost, or come back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy import Connection, select

from infra.database import run_once
from infra.errors import UserError
from schemas.headers import SOURCE, Source, find
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import EVENTS_RAW, Topic
from sinks.app import APP_ID as SINKS
from sinks.sql.tables import ConsumerOffsetRow, table_of
from streams.app import APP_ID as STREAMS

#: A worker that was killed stays a member until its session ends, 10 s.
_MEMBERS_SECONDS = 11.0
_STORED_SECONDS = 30.0
_RECORD_SECONDS = 30.0
_POLL_SECONDS = 0.5

#: The next event of each partition that the agent has not applied yet.
Standing = Mapping[int, Source]


class Cluster:
    """What is asked of the cluster before and after a rebuild."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._admin: Any = admin
        self._consumer: Any = consumer

    async def check_still(self, seconds: float = _MEMBERS_SECONDS) -> None:
        """Return when no stream worker runs; `UserError` when some still do after a while."""
        deadline = time.monotonic() + seconds
        while members := await self._members():
            if time.monotonic() > deadline:
                raise UserError(
                    f"Stream workers are running ({members} in the group {STREAMS}), and they hold "
                    "these tables in memory. Stop the role streams (or `headrace up`), run this "
                    "again, then start it"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def check_stored(self, database: DatabaseSettings, published: Topic) -> None:
        """Return when the sinks have stored all events, and all of the topic `published`.

        `UserError` when they do not come to it, or the database is another cluster's.
        """
        places = [
            TopicPartition(topic.name, partition)
            for topic in (EVENTS_RAW, published)
            for partition in await self.partitions(topic)
        ]
        ends = await self._consumer.end_offsets(places)
        cluster_id = str((await self._admin.describe_cluster())["cluster_id"])
        deadline = time.monotonic() + _STORED_SECONDS
        while behind := await self._behind(database, cluster_id, ends):
            if time.monotonic() > deadline:
                raise UserError(
                    f"The sinks have not stored all yet: {', '.join(behind)}. Let `headrace sinks` "
                    "(or `headrace up`) run until they have, stop the streams, and run this again"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def standing(self, agents: Topic) -> Standing:
        """Return the next event of each partition for the agent that reads the topic `agents`.

        Where it has applied all, that is the end of `events-raw`, at the log time come to.
        """
        committed = await self._admin.list_consumer_group_offsets(STREAMS)
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

    async def _members(self) -> int:
        [response] = await self._admin.describe_consumer_groups([STREAMS])
        return sum(len(group[5]) for group in response.groups)

    async def _behind(
        self, database: DatabaseSettings, cluster_id: str, ends: Mapping[TopicPartition, int]
    ) -> list[str]:
        rows = await run_once(database, _positions)
        if any(row["cluster_id"] != cluster_id for row in rows.values()):
            raise UserError(
                f"The database holds results of another Kafka cluster than {cluster_id}: name the "
                "database and the Kafka that belong together"
            )
        stored = {place: row["next_offset"] for place, row in rows.items()}
        return [
            f"{place.topic}/{place.partition} is at {stored.get(place, 0)} of {end}"
            for place, end in ends.items()
            if stored.get(place, 0) < end
        ]

    async def _next(self, agents: Topic, partition: int, committed: Mapping[Any, Any]) -> Source:
        routed = await self._waiting(TopicPartition(agents.name, partition), committed)
        if routed is not None:
            packed = find(routed.headers, SOURCE)
            # Without a source it is no event of ours: then nothing is taken for applied.
            return Source(partition, 0, 0) if packed is None else Source.unpack(packed)
        place = TopicPartition(EVENTS_RAW.name, partition)
        raw = await self._waiting(place, committed)
        if raw is not None:
            return Source(partition, raw.offset, raw.timestamp)
        end = (await self._consumer.end_offsets([place]))[place]
        last = await self._record(place, end - 1)
        now_ms = int(time.time() * 1_000) if last is None else last.timestamp
        return Source(partition, end, now_ms)

    async def _waiting(self, place: TopicPartition, committed: Mapping[Any, Any]) -> Any:
        """Return the first record that the streams have not committed; None: they have all."""
        done = committed.get(place)
        return await self._record(place, 0 if done is None else max(0, done.offset))

    async def _record(self, place: TopicPartition, offset: int) -> Any:
        """Return the first record from an offset on; None where there is none."""
        first = (await self._consumer.beginning_offsets([place]))[place]
        end = (await self._consumer.end_offsets([place]))[place]
        if not max(offset, first) < end or offset < 0:
            return None
        self._consumer.assign([place])
        self._consumer.seek(place, max(offset, first))
        async with asyncio.timeout(_RECORD_SECONDS):
            return await self._consumer.getone(place)


@asynccontextmanager
async def open_cluster(settings: Settings) -> AsyncIterator[Cluster]:
    """Give the cluster; `UserError` when Kafka fails at what is asked."""
    servers = settings.kafka.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        yield Cluster(admin, consumer)
    except (KafkaError, OSError, TimeoutError) as error:
        raise UserError(
            f"Kafka at {servers} failed: {error or 'it does not answer'}. What was rebuilt until "
            "now is right; run this again for the rest"
        ) from error
    finally:
        await consumer.stop()
        await admin.close()


def _positions(connection: Connection) -> dict[TopicPartition, dict[str, Any]]:
    table = table_of(ConsumerOffsetRow)
    rows = connection.execute(select(table).where(table.c.app == SINKS)).mappings()
    return {TopicPartition(row["topic"], row["partition"]): dict(row) for row in rows}
