"""Bring a database to the newest revision, and compare it with the models."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from sinks.sql.engine import open_database
from sinks.sql.schema import differences
from sinks.sql.sqlite import create, sqlite_path

T = TypeVar("T")

#: The advisory lock of PostgreSQL that one migration at a time holds; "headrace" as a number.
_LOCK_KEY = int.from_bytes(b"headrace", "big")
_WAL_DEADLINE_SECONDS = 30.0


def upgrade(url: str) -> None:
    """Migrate to the newest revision, all or nothing; safe when several processes do so at once.

    Makes the file and folder of a SQLite database and turns on its write-ahead log. Blocks;
    may be called with an event loop running. Raises what the driver raises.
    """
    if url.startswith("sqlite:"):
        _make_sqlite_file(url)
    _run(url, _upgrade)


def check(url: str) -> list[str]:
    """Return the differences between the models and the database, a sentence each; [] for none.

    Sees tables, columns, types, keys, indexes with their conditions, CHECKs, STRICT and views;
    tables that are not headrace's are left alone. Blocks, as `upgrade` does, and writes nothing.
    """
    if url.startswith("sqlite:") and not sqlite_path(url).exists():
        return [f"There is no database at {sqlite_path(url)}: run `headrace db upgrade`"]
    return _run(url, _check)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    command.upgrade(_config(connection), "head")


def _check(connection: Connection) -> list[str]:
    at = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(_config(connection)).get_current_head()
    found = []
    if at != newest:
        found.append(
            f"The database is at revision {at or 'none'}, this version of headrace at {newest}: "
            "run `headrace db upgrade`"
        )
    return found + differences(connection)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction, from a thread: the caller's may have a loop running."""

    async def in_loop() -> T:
        # To wait for another's migration, or to build an index, may take long.
        database = open_database(url, statement_seconds=None)
        try:
            return await database.run(work)
        finally:
            await database.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(in_loop())).result()


def _make_sqlite_file(url: str) -> None:
    path = sqlite_path(url)
    create(path)
    connection = sqlite3.connect(path, isolation_level=None)
    deadline = time.monotonic() + _WAL_DEADLINE_SECONDS
    try:
        while not _turn_wal_on(connection, deadline):
            time.sleep(0.05)
    finally:
        connection.close()


def _turn_wal_on(connection: sqlite3.Connection, deadline: float) -> bool:
    """Return whether it is on; this change alone does not wait for locks by itself."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
            raise
        return False
    return True
