"""Migrate a database to the newest revision, and compare its schema with the models."""

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
from alembic.util import CommandError
from sqlalchemy import Connection, text

from sinks.sql.engine import open_database
from sinks.sql.schema_diff import differences
from sinks.sql.sqlite import create_file, sqlite_path

T = TypeVar("T")

#: The key of the PostgreSQL advisory lock that serializes migrations: "headrace" as a number.
_LOCK_KEY = int.from_bytes(b"headrace", "big")
_WAL_DEADLINE_SECONDS = 30.0
_MIGRATIONS = str(Path(__file__).parent / "migrations")


def upgrade(url: str) -> None:
    """Migrate to the newest revision in one transaction; safe to run concurrently.

    Creates a missing SQLite file and its directory, and turns on WAL mode. Blocks, but may be
    called while an event loop is running. Raises driver errors.
    """
    if url.startswith("sqlite:"):
        _create_sqlite_file(url)
    _run(url, _upgrade)


def is_known(revision: str) -> bool:
    """Return True if this version of headrace can migrate a database of this revision."""
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    try:
        return ScriptDirectory.from_config(config).get_revision(revision) is not None
    except CommandError:
        return False


def check(url: str) -> list[str]:
    """Return a sentence for each difference between the database and the models.

    Compares tables, columns, types, keys, indexes with their conditions, CHECKs, STRICT and
    views; ignores tables that are not headrace's. Blocks like `upgrade`; changes nothing.
    """
    if url.startswith("sqlite:") and not sqlite_path(url).exists():
        return [f"There is no database at {sqlite_path(url)}: run `headrace db upgrade`"]
    return _run(url, _check)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    command.upgrade(_config(connection), "head")


def _check(connection: Connection) -> list[str]:
    current = MigrationContext.configure(connection).get_current_revision()
    head = ScriptDirectory.from_config(_config(connection)).get_current_head()
    outdated = []
    if current != head:
        is_later = current is not None and not is_known(current)
        outdated.append(
            f"The database is at revision {current or 'none'}, this version of headrace at {head}: "
            + ("install the later version" if is_later else "run `headrace db upgrade`")
        )
    return outdated + differences(connection)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction, in a thread with its own event loop."""

    async def in_loop() -> T:
        # Waiting for a concurrent migration or building an index may take long.
        database = open_database(url, statement_seconds=None)
        try:
            return await database.run(work)
        finally:
            await database.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(in_loop())).result()


def _create_sqlite_file(url: str) -> None:
    path = sqlite_path(url)
    create_file(path)
    connection = sqlite3.connect(path, isolation_level=None)
    deadline = time.monotonic() + _WAL_DEADLINE_SECONDS
    try:
        while not _enable_wal(connection, deadline):
            time.sleep(0.05)
    finally:
        connection.close()


def _enable_wal(connection: sqlite3.Connection, deadline: float) -> bool:
    """Turn on WAL mode; return False if the file is locked.

    SQLite does not apply the busy timeout to this statement.
    """
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
            raise
        return False
    return True
