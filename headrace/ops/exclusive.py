"""One command at a time rewrites the topics and results of a database (ADR 98)."""

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from headrace.admin.database import check_exists
from headrace.errors import UserError
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from schemas.settings import DatabaseSettings
from sinks.sql.sqlite import sqlite_path

#: The key of the PostgreSQL advisory lock: "rewrites" as a number.
_KEY = int.from_bytes(b"rewrites", "big")


@asynccontextmanager
async def exclusive(database: DatabaseSettings) -> AsyncIterator[None]:
    """Lock a database against other commands that use this, not against the roles.

    The lock ends with the context, or the process. Raises `UserError` if another command has it, or
    the database cannot be used.
    """
    check_exists(database)
    lock = _lock_postgres if database.is_postgres else _lock_sqlite
    async with lock(database) as is_locked:
        if not is_locked:
            raise UserError(
                f"Another command rewrites results of {database.redacted} (rebuild, repartition, "
                "adopt-cluster or restore): wait until it has ended, then run this again"
            )
        yield


@asynccontextmanager
async def _lock_sqlite(database: DatabaseSettings) -> AsyncIterator[bool]:
    """Lock the file by flock, which is independent of SQLite's own locks."""
    # Closing it releases SQLite's locks of this process, so it is closed after all connections.
    descriptor = os.open(sqlite_path(database.url), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_locked = True
    except BlockingIOError:
        is_locked = False
    try:
        yield is_locked
    finally:
        os.close(descriptor)


@asynccontextmanager
async def _lock_postgres(database: DatabaseSettings) -> AsyncIterator[bool]:
    """Hold an advisory lock in a separate transaction, which also works through a pooler."""
    loop, released = asyncio.get_running_loop(), threading.Event()
    locked: asyncio.Future[bool] = loop.create_future()

    def hold(snapshot: Snapshot) -> None:
        query = select(func.pg_try_advisory_xact_lock(_KEY))
        is_locked = snapshot.connection.execute(query).scalar_one()
        loop.call_soon_threadsafe(locked.set_result, is_locked)
        if is_locked:
            released.wait()

    holding = asyncio.create_task(read_snapshot(database, hold, lambda _: None))
    try:
        holding.add_done_callback(lambda _: locked.done() or locked.cancel())
        try:
            is_locked = await locked
        except asyncio.CancelledError:
            if holding.done():
                holding.result()  # raises UserError
            raise
        yield is_locked
    finally:
        released.set()
        await asyncio.wait([holding])
