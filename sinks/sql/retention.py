"""Retention: purge rows that are older than the settings allow (ADR 66).

Rows are deleted in small transactions, by the indexes on site and time, so that sinks keep writing.
`purged_until` is set before the first row is deleted: results before it are incomplete, which
`headrace audit` and `headrace rebuild` take into account.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnClause,
    Connection,
    Table,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlmodel import SQLModel

from schemas.plurals import counted
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS
from sinks.sql.tables import (
    AlertRow,
    EventRow,
    PageDurationRow,
    RetentionRow,
    SessionRow,
    table_of,
)
from sinks.sql.types import now_utc

log = logging.getLogger(__name__)

#: Rows per transaction: some 10 ms on SQLite, whose writers wait for one another.
BATCH_SIZE = 500
_INTERVAL_SECONDS = 3_600.0
_PROGRESS_SECONDS = 60.0
_MIN_PAUSE_SECONDS = 0.01

_RETENTION = table_of(RetentionRow)


class _Purge(NamedTuple):
    """A table, and the column whose index with `site_id` finds its old rows."""

    table: Table
    time: Column[datetime]
    has_open_rows: bool = False


def _purge(model: type[SQLModel], time: str, *, has_open_rows: bool = False) -> _Purge:
    table = table_of(model)
    return _Purge(table, table.columns[time], has_open_rows)


#: The tables by the name of their setting. Page durations are kept as long as sessions.
PURGES: Mapping[str, tuple[_Purge, ...]] = {
    "events": (_purge(EventRow, "event_ts"),),
    "sessions": (
        _purge(SessionRow, "started_at", has_open_rows=True),
        _purge(PageDurationRow, "hour"),
    ),
    "alerts": (_purge(AlertRow, "raised_at"),),
}


class Horizons(NamedTuple):
    """The times before which rows may have been purged; None if none ever was."""

    events: datetime | None = None
    sessions: datetime | None = None
    alerts: datetime | None = None


class Retention:
    """Purges old rows every hour. `days` maps names to retention periods; 0 means forever."""

    def __init__(
        self,
        database: Database,
        days: Mapping[str, int],
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self._database = database
        self._days = {name: number for name, number in days.items() if number}
        self._clock = clock

    async def run(self) -> None:
        """Purge until cancelled."""
        while True:
            try:
                await self.purge()
            except DATABASE_ERRORS as error:
                log.warning("cannot purge old rows: %s; retrying", type(error).__name__)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def purge(self) -> dict[str, int]:
        """Purge once; return the number of deleted rows by table."""
        deleted: dict[str, int] = {}
        for name, days in self._days.items():
            midnight = self._clock().replace(hour=0, minute=0, second=0, microsecond=0)
            before = midnight - timedelta(days=days)
            await self._database.run(partial(_advance, name=name, before=before))
            for purge in PURGES[name]:
                deleted[purge.table.name] = count = await self._purge_table(name, purge, before)
                if count:
                    rows = counted(count, "row")
                    log.info("purged %s of %s before %s", rows, purge.table.name, before.date())
        return deleted

    async def _purge_table(self, name: str, purge: _Purge, before: datetime) -> int:
        total, reported_at = 0, time.monotonic()
        site = await self._database.run(partial(_next_site, table=purge.table, after=""))
        while site is not None:
            started_at = time.monotonic()
            batch = partial(delete_batch, name=name, purge=purge, site_id=site, before=before)
            deleted = await self._database.run(batch)
            if deleted is None:  # another process is purging
                return total
            total += deleted
            if deleted < BATCH_SIZE:
                site = await self._database.run(partial(_next_site, table=purge.table, after=site))
            now = time.monotonic()
            if now - reported_at >= _PROGRESS_SECONDS:
                reported_at = now
                log.info("purging %s: %s so far", purge.table.name, counted(total, "row"))
            # Take at most half of the time: the sinks need the write lock of SQLite, too.
            await asyncio.sleep(max(now - started_at, _MIN_PAUSE_SECONDS) if deleted else 0)
        return total


def horizons(connection: Connection) -> Horizons:
    """Return the times before which results are incomplete."""
    rows = connection.execute(select(_RETENTION.c.name, _RETENTION.c.purged_until))
    return Horizons(**{row.name: row.purged_until for row in rows})


def _advance(connection: Connection, name: str, before: datetime) -> None:
    until = _RETENTION.c.purged_until
    connection.execute(
        update(_RETENTION)
        .where(_RETENTION.c.name == name, or_(until.is_(None), until < before))
        .values(purged_until=before)
    )


def _next_site(connection: Connection, table: Table, after: str) -> str | None:
    """Return the first site after `after`, with an index lookup instead of a scan of all rows."""
    query = select(func.min(table.c.site_id)).where(table.c.site_id > after)
    site: str | None = connection.execute(query).scalar_one()
    return site


def delete_batch(
    connection: Connection, name: str, purge: _Purge, site_id: str, before: datetime
) -> int | None:
    """Delete the oldest rows of a site before a time, at most `BATCH_SIZE`.

    Return their number, or None if another process is purging. Open visits are kept, because they
    are written again when they close.
    """
    lease = select(_RETENTION.c.name).where(_RETENTION.c.name == name)
    if connection.execute(lease.with_for_update(skip_locked=True)).one_or_none() is None:
        return None
    table, column = purge.table, purge.time
    # The physical address of a row: no join by the primary key.
    address: ColumnClause[Any] = literal_column(
        "ctid" if connection.dialect.name == "postgresql" else "rowid"
    )
    old = select(address).select_from(table).where(table.c.site_id == site_id, column < before)
    if purge.has_open_rows:
        old = old.where(table.c.state != "open")
    result = connection.execute(
        delete(table).where(address.in_(old.order_by(column).limit(BATCH_SIZE)))
    )
    return int(result.rowcount)
