"""Erase a person or a site: alerts in SQL, then sessions and events through the log (ADR 67).

An erasure is a record in `events-raw` for each session. The sinks delete the events, `sessionize`
deletes the state, and then the sinks delete the visits. So no role has to stop, a crash loses
nothing, and consumers that read the log again erase again. Each step can be repeated.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, delete

from headrace.admin.database import connected
from headrace.errors import UserError
from headrace.ops.audit.snapshot import read_snapshot
from headrace.ops.blocks import block as block_ids
from headrace.ops.erase.alerts import ErasedAlerts, erase_alerts, find_alerts
from headrace.ops.erase.erasures import publish_erasures, session_erasure, site_erasure
from headrace.ops.erase.selection import (
    FoundSession,
    Selection,
    count_visits,
    find_sessions,
)
from headrace.ops.rebuild.cluster import Cluster, open_cluster
from headrace.ops.rebuild.run import open_producer
from schemas.batched import batched
from schemas.event_types import ERASE
from schemas.headers import ERASE_FROM, ERASE_UNTIL, ERASE_VISITS, TYPE, Headers
from schemas.plurals import counted
from schemas.settings import Settings
from schemas.topics import ERASURES, EVENTS_RAW
from sinks.sql.retries import Retrier
from sinks.sql.tables import AlertRow, PageDurationRow, table_of
from streams.app import partitioner
from streams.engine.producer import BatchProducer, OutRecord

T = TypeVar("T")

#: Alerts that are erased in one transaction.
_BATCH_SIZE = 500
#: The ids of a record's visits take 37 KB.
_VISITS_PER_RECORD = 1_000
#: Repetitions, because a person may be active during the erasure.
_ROUNDS = 3
_APPLIED_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.2
_FAILED = "Run this again: what was erased stays erased"


@dataclass(slots=True)
class Receipt:
    """What was erased: the numbers of rows by table."""

    sessions: int = 0
    rows: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, found: Sequence[FoundSession]) -> None:
        """Count sessions, their events and visits."""
        self.sessions += len(found)
        self.rows["events"] += sum(one.events for one in found)
        self.rows["sessions"] += sum(one.visits for one in found)

    def add_alerts(self, alerts: ErasedAlerts) -> None:
        """Count alerts and their deliveries."""
        self.rows["alerts"] += alerts.deleted
        self.rows["alerts (anonymised)"] += alerts.anonymised
        self.rows["deliveries"] += alerts.deliveries


async def preview(settings: Settings, selection: Selection) -> Receipt:
    """Return what would be erased now."""
    receipt = Receipt()
    find = partial(find_sessions, selection=selection)
    receipt.add(await _read(settings, find))
    return receipt


async def erase(
    settings: Settings, selection: Selection, on_step: Callable[[str], None], *, block: bool = False
) -> Receipt:
    """Erase the selection while the pipeline runs; idempotent.

    `block` rejects later events with the ids. `on_step` is called with each step. Raises
    `UserError` if the sinks or the streams are not running, or if Kafka or the database fails.
    """
    receipt = Receipt()
    async with (
        open_cluster(settings, _FAILED) as cluster,
        open_producer(settings) as producer,
    ):
        if block:
            await block_ids(settings.kafka, selection.site_id, selection.ids)
        for _ in range(_ROUNDS):
            on_step("waiting until all events are stored")
            at = time.time_ns() // 1_000
            await _wait_until_stored(cluster, settings)
            found = await _read(settings, partial(find_sessions, selection=selection))
            if not found:
                break
            receipt.add(found)
            # Before anything is deleted, so that a backup made in between does not restore it.
            site = selection.site_id
            erasures = (session_erasure(site, one.session_id, at) for one in found)
            await publish_erasures(producer, len(await cluster.partitions(ERASURES)), erasures)
            on_step("erasing alerts")
            await _erase_alerts(settings, selection, found, receipt)
            on_step("erasing events and visits")
            await _send(producer, await cluster.partitions(EVENTS_RAW), site, found)
            await _wait_until_stored(cluster, settings)
            await _wait_until_applied(settings, site, found)
        if selection.is_site:
            of_site = [site_erasure(selection.site_id, time.time_ns() // 1_000)]
            await publish_erasures(producer, len(await cluster.partitions(ERASURES)), of_site)
            await _write(settings, partial(_erase_rest, selection, receipt))
    return receipt


async def _wait_until_stored(cluster: Cluster, settings: Settings) -> None:
    if behind := await cluster.wait_until_stored(settings.database, [EVENTS_RAW]):
        raise UserError(
            f"The sinks lag behind: {', '.join(behind)}. Start `headrace sinks` (or `headrace "
            f"up`), and wait until `headrace status` shows no lag. {_FAILED}"
        )


async def _erase_alerts(
    settings: Settings, selection: Selection, found: Sequence[FoundSession], receipt: Receipt
) -> None:
    site, sessions = selection.site_id, {one.session_id for one in found}
    alerts = await _read(settings, partial(find_alerts, site_id=site, sessions=sessions))
    for batch in batched(alerts, _BATCH_SIZE):
        receipt.add_alerts(
            await _write(settings, partial(erase_alerts, site_id=site, alerts=batch))
        )


async def _send(
    producer: BatchProducer,
    partitions: Sequence[int],
    site_id: str,
    found: Sequence[FoundSession],
) -> None:
    """Write an erasure for each session, after all of its events."""
    partition_of = partitioner(len(partitions))
    by_partition: defaultdict[int, list[OutRecord]] = defaultdict(list)
    for one in found:
        key = f"{site_id}:{one.session_id}".encode()
        by_partition[partition_of(key)] += (OutRecord(key, None, part) for part in _headers(one))
    for partition, records in by_partition.items():
        await producer.send(EVENTS_RAW.name, partition, records)


def _headers(found: FoundSession) -> Iterator[Headers]:
    """Yield the headers of the records that erase a session: several if it has many visits."""
    for visit_ids in list(batched(found.visit_ids, _VISITS_PER_RECORD)) or [[]]:
        yield (
            (TYPE, ERASE.encode()),
            (ERASE_FROM, str(found.from_ts).encode()),
            (ERASE_UNTIL, str(found.until_ts).encode()),
            (ERASE_VISITS, ",".join(visit_ids).encode()),
        )


async def _wait_until_applied(
    settings: Settings, site_id: str, found: Sequence[FoundSession]
) -> None:
    """Wait until no visit of the erased events is left."""
    deadline = time.monotonic() + _APPLIED_TIMEOUT_SECONDS
    count = partial(count_visits, site_id=site_id, found=found)
    while left := await _read(settings, count):
        if time.monotonic() > deadline:
            raise UserError(
                f"{counted(left, 'visit')} not erased yet: the erasures are in Kafka, and take "
                "effect when the roles streams and sinks run (`headrace up`). See `headrace "
                f"status`. {_FAILED}"
            )
        await asyncio.sleep(_POLL_SECONDS)


async def _read(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Run a query on a snapshot, which does not take the write lock of SQLite."""
    return await read_snapshot(
        settings.database, lambda snapshot: work(snapshot.connection), lambda _: None
    )


async def _write(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Run a transaction; wait while the sinks hold the write lock of SQLite."""
    async with connected(settings.database) as database:
        return await Retrier(lambda: False).run(lambda: database.run(work))


def _erase_rest(selection: Selection, receipt: Receipt, connection: Connection) -> None:
    """Delete the rows of a site that belong to no session."""
    for model in (PageDurationRow, AlertRow):
        table = table_of(model)
        gone = connection.execute(delete(table).where(table.c.site_id == selection.site_id))
        receipt.rows[table.name] += gone.rowcount
