"""Computing a table again, with its topic: some keys at a time, the topic first.

In this order a crash in between leaves rows that are older than the topic's, which sinks put
right; the other way round, rows would be newer than what the next event leads to, and stay.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Table

from infra.audit.run import rules_of
from infra.audit.scope import Scope
from infra.audit.snapshot import Snapshot, read_snapshot
from infra.database import connected
from infra.rebuild import plan as plans
from infra.rebuild.changelog import Changelog
from infra.rebuild.plan import Change, Plan
from infra.rebuild.standing import Standing, open_cluster
from infra.rebuild.store import store
from schemas.batched import batched
from schemas.records import PageDuration, SessionState
from schemas.settings import Settings
from schemas.topics import EVENTS_PAGELEAVE, EVENTS_SESSION, PAGE_DURATIONS, SESSIONS, Topic
from sinks.sql.engine import open_database
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from streams.app import APP_ID as STREAMS
from streams.engine.producer import BatchProducer

#: Keys that are written at a time.
_AT_ONCE = 500


class Target(NamedTuple):
    """What to compute: a table, its topic, and the topic that its agent reads."""

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
    """Compute the target again from `events`; `seen` gets the number of those that were read.

    `UserError` when stream workers run, or the sinks are behind. Safe to repeat.
    """
    failed = "What was rebuilt until now is right; run this again for the rest"
    async with open_cluster(settings, failed) as cluster:
        await cluster.check_stopped([STREAMS], _still_running)
        await cluster.check_stored(settings.database, target.topic)
        standing = await cluster.standing(target.agents)
        changelog = Changelog(target.topic)
        partitions = await cluster.partitions(target.topic)
        await changelog.read(settings.kafka, partitions, target.kind, target.about)
        done = await compute(
            settings, target, scope, standing=standing, changelog=changelog, seen=seen
        )
        # Of one that was started meanwhile, nobody knows what it has read.
        await cluster.check_stopped([STREAMS], _still_running, 0)
    return done


def _still_running(members: Mapping[str, int]) -> str:
    [(group, count)] = members.items()
    return (
        f"Stream workers are running ({count} in the group {group}), and they hold these tables "
        "in memory. Stop the role streams (or `headrace up`), run this again, then start it"
    )


async def compute(  # noqa: PLR0913 - each by its name
    settings: Settings,
    target: Target,
    scope: Scope,
    *,
    standing: Standing,
    changelog: Changelog,
    seen: Callable[[int], None],
) -> Rebuilt:
    """Write the changes that the target needs to its topic and its table.

    `changelog` is what the topic holds.
    """
    done = Rebuilt()
    opening = partial(open_database, use_row_types=True)
    async with (
        open_producer(settings) as producer,
        connected(settings.database, opening) as database,
    ):
        loop = asyncio.get_running_loop()

        async def write(changes: list[Change]) -> None:
            puts = [put for change in changes for put in change.puts]
            rows = [row for change in changes for row in change.rows]
            gone = [key for change in changes for key in change.gone]
            await changelog.put(producer, puts)
            await database.run(lambda connection: store(connection, target.table, rows, gone))
            done.states += len(puts)
            done.written += len(rows)
            done.removed += len(gone)

        def work(snapshot: Snapshot) -> None:
            planned = target.plan(snapshot, scope, standing, changelog)
            for changes in batched(planned, _AT_ONCE):
                asyncio.run_coroutine_threadsafe(write(changes), loop).result()

        await read_snapshot(settings.database, work, seen)
    return done


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[BatchProducer]:
    """Give a producer that is connected."""
    producer = BatchProducer(settings.kafka, lambda: False)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
