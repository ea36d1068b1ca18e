"""Computing a table anew, with its topic: some keys at a time, the topic first.

In this order a crash in between leaves rows that are older than the topic's, which sinks put
right; the other way round, rows would be newer than what the next event leads to, and stay.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Table

from infra.audit.run import rules_of
from infra.audit.scope import Scope
from infra.audit.snapshot import Snapshot, read_snapshot
from infra.database import using
from infra.rebuild import plan as plans
from infra.rebuild.changelog import Changelog
from infra.rebuild.plan import Change, Plan
from infra.rebuild.standing import Cluster, open_cluster
from infra.rebuild.store import store
from schemas.records import PageDuration, SessionState
from schemas.settings import Settings
from schemas.topics import EVENTS_PAGELEAVE, EVENTS_SESSION, PAGE_DURATIONS, SESSIONS, Topic
from sinks.sql.engine import Database, open_database
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from streams.engine.producer import BatchProducer

#: Keys that are written at a time.
_AT_ONCE = 500


class Target(NamedTuple):
    """What is computed anew: a table, its topic, and the topic that its agent reads."""

    table: Table
    topic: Topic
    agents: Topic
    kind: type[Any]
    about: Callable[[Any], Any]
    plan: Plan


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did."""

    written: int = 0
    removed: int = 0
    states: int = 0


def sessions_of(settings: Settings) -> Target:
    """Return `sessions` as a target."""
    return Target(
        table_of(SessionRow),
        SESSIONS,
        EVENTS_SESSION,
        SessionState,
        plans.about_session,
        plans.plan_sessions(rules_of(settings)),
    )


def durations_of(_settings: Settings) -> Target:
    """Return `page_durations` as a target."""
    return Target(
        table_of(PageDurationRow),
        PAGE_DURATIONS,
        EVENTS_PAGELEAVE,
        PageDuration,
        plans.about_page,
        plans.plan_durations,
    )


async def rebuild(
    settings: Settings, target: Target, scope: Scope, seen: Callable[[int], None]
) -> Rebuilt:
    """Compute the target anew from `events`; `seen` is told how many of them were read.

    `UserError` when stream workers run, or the sinks are behind. Safe to repeat.
    """
    async with open_cluster(settings) as cluster:
        await cluster.check_still()
        await cluster.check_stored(settings.database, target.topic)
        standing = await cluster.standing(target.agents)
        changelog = await _read(settings, target, cluster)
        opening = partial(open_database, takes_batches=True)
        async with _producer(settings) as producer, using(settings.database, opening) as database:
            writing = _Writing(target, changelog, producer, database)
            loop = asyncio.get_running_loop()

            def work(snapshot: Snapshot) -> None:
                for changes in _some(target.plan(snapshot, scope, standing, changelog)):
                    asyncio.run_coroutine_threadsafe(writing.write(changes), loop).result()

            await read_snapshot(settings.database, work, seen)
        # Of one that was started meanwhile, nobody knows what it has read.
        await cluster.check_still(0)
    return writing.done


class _Writing:
    """Writes changes: to the topic, then to the table."""

    def __init__(
        self, target: Target, changelog: Changelog, producer: BatchProducer, database: Database
    ) -> None:
        self._table = target.table
        self._changelog = changelog
        self._producer = producer
        self._database = database
        self.done = Rebuilt()

    async def write(self, changes: list[Change]) -> None:
        puts = [put for change in changes for put in change.puts]
        rows = [row for change in changes for row in change.rows]
        gone = [key for change in changes for key in change.gone]
        await self._changelog.put(self._producer, puts)
        await self._database.run(lambda connection: store(connection, self._table, rows, gone))
        self.done.states += len(puts)
        self.done.written += len(rows)
        self.done.removed += len(gone)


async def _read(settings: Settings, target: Target, cluster: Cluster) -> Changelog:
    changelog = Changelog(target.topic)
    partitions = await cluster.partitions(target.topic)
    servers = settings.kafka.bootstrap_servers
    await changelog.read(servers, partitions, target.kind, target.about)
    return changelog


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(settings.kafka.bootstrap_servers, lambda: False)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def _some(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield the changes, some at a time."""
    some: list[Change] = []
    for change in changes:
        some.append(change)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some
