"""Rebuild a table and its topic in batches of keys, each first in the topic, then in SQL.

After a crash in between, rows are older than their states, and the sinks update them. In the other
order, rows would be newer than their states, and would never be updated.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Table

from headrace.admin.database import connected
from headrace.ops.audit.run import rules_of
from headrace.ops.audit.scope import Scope
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from headrace.ops.exclusive import exclusive
from headrace.ops.rebuild import plan as plans
from headrace.ops.rebuild.changelog import Changelog, send
from headrace.ops.rebuild.cluster import NextEvents, open_cluster
from headrace.ops.rebuild.plan import Change, Plan
from headrace.ops.rebuild.row_writer import store
from headrace.ops.rebuild.visits import visit_records
from schemas.batched import batched
from schemas.records import PageDuration, SessionState
from schemas.settings import Settings
from schemas.topics import (
    EVENTS_PAGELEAVE,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
    VISITS,
    Topic,
)
from sinks.sql.engine import Database, open_database
from sinks.sql.retention import horizons
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from streams.app import APP_ID as STREAMS
from streams.app import partitioner
from streams.engine.producer import BatchProducer

#: Keys written at a time.
_BATCH_SIZE = 500


class Target(NamedTuple):
    """What to rebuild: a table, its changelog topic, and the input topic of its agent."""

    table: Table
    topic: Topic
    input: Topic
    kind: type[Any]
    describe: Callable[[Any], Any]
    plan: Plan


@dataclass(slots=True)
class RebuildResult:
    """The number of rows written and removed, and of states sent."""

    written: int = 0
    removed: int = 0
    states: int = 0


def sessions_of(settings: Settings) -> Target:
    """Return the target `sessions`."""
    return Target(
        table_of(SessionRow),
        SESSIONS,
        EVENTS_SESSION,
        SessionState,
        plans.describe_session,
        plans.plan_sessions(rules_of(settings)),
    )


def durations_of(_settings: Settings) -> Target:
    """Return the target `page_durations`."""
    return Target(
        table_of(PageDurationRow),
        PAGE_DURATIONS,
        EVENTS_PAGELEAVE,
        PageDuration,
        plans.describe_page,
        plans.plan_durations,
    )


async def rebuild(
    settings: Settings, target: Target, scope: Scope, on_rows: Callable[[int], None]
) -> RebuildResult:
    """Compute the target from `events` again. Idempotent.

    `on_rows` is called with the number of rows read. Raises `UserError` if stream workers or
    another such command are running, or the sinks lag behind.
    """
    failed = "What was rebuilt so far is correct; run this again for the rest"
    async with exclusive(settings.database), open_cluster(settings, failed) as cluster:
        # A producer would wait for a missing topic for ever, as in a cluster of an earlier version.
        for topic in (SESSIONS, VISITS) if target.topic is SESSIONS else (target.topic,):
            await cluster.partitions(topic)
        await cluster.check_stopped([STREAMS], _still_running)
        await cluster.check_stored(settings.database, target.topic)
        next_events = await cluster.next_events(target.input)
        changelog = Changelog(target.topic)
        partitions = await cluster.partitions(target.topic)
        await changelog.read(settings.kafka, partitions, target.kind, target.describe)
        result = await compute(
            settings, target, scope, next_events=next_events, changelog=changelog, on_rows=on_rows
        )
        # A worker started after the first check may have restored states that were overwritten.
        await cluster.check_stopped([STREAMS], _still_running, 0)
    return result


def _still_running(members: Mapping[str, int]) -> str:
    [(group, count)] = members.items()
    return (
        f"Stream workers are running ({count} in the group {group}), which have this state in "
        "memory. Stop the role streams (or `headrace up`), run this again, then start the role"
    )


async def compute(  # noqa: PLR0913 - keyword arguments
    settings: Settings,
    target: Target,
    scope: Scope,
    *,
    next_events: NextEvents,
    changelog: Changelog,
    on_rows: Callable[[int], None],
) -> RebuildResult:
    """Compute the target, and write the changes to its topic and its table.

    `changelog` contains the states that are in the topic.
    """
    opening = partial(open_database, use_row_types=True)
    async with (
        open_producer(settings) as producer,
        connected(settings.database, opening) as database,
    ):
        writer = _Writer(target, changelog, producer, database, partitioner(len(next_events)))
        loop = asyncio.get_running_loop()

        def work(snapshot: Snapshot) -> None:
            within = scope._replace(purged=horizons(snapshot.connection))
            planned = target.plan(snapshot, within, next_events, changelog)
            for changes in batched(planned, _BATCH_SIZE):
                asyncio.run_coroutine_threadsafe(writer.write(changes), loop).result()

        await read_snapshot(settings.database, work, on_rows)
    return writer.result


@dataclass(slots=True)
class _Writer:
    """Writes changes to the topics and the table of a target, and counts them."""

    target: Target
    changelog: Changelog
    producer: BatchProducer
    database: Database
    partition_of: Callable[[bytes], int]
    result: RebuildResult = field(default_factory=RebuildResult)

    async def write(self, changes: Sequence[Change]) -> None:
        """Write changes to the topics, then to the table."""
        puts = [put for change in changes for put in change.puts]
        rows = [row for change in changes for row in change.rows]
        deleted = [key for change in changes for key in change.deleted]
        if self.target.topic is SESSIONS:
            await send(self.producer, VISITS, visit_records(changes, self.partition_of))
        await self.changelog.put(self.producer, puts)
        await self.database.run(
            lambda connection: store(connection, self.target.table, rows, deleted)
        )
        self.result.states += len(puts)
        self.result.written += len(rows)
        self.result.removed += len(deleted)


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[BatchProducer]:
    """Yield a started producer, and stop it."""
    producer = BatchProducer(settings.kafka, lambda: False)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
