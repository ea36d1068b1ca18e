"""Copies of a SQLite database, and the replacement of a database by a copy."""

import asyncio
import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from headrace.admin.database import check_exists, run_once
from headrace.errors import UserError
from headrace.ops.backup.archive import sync
from headrace.ops.backup.contents import Contents, read_contents
from schemas.settings import DatabaseSettings
from sinks.sql.sqlite import sqlite_path

_IN_USE = (
    "Another process has {} open: stop all roles and programs that use it, then run this again"
)


async def dump(database: DatabaseSettings, copy: Path) -> Contents:
    """Copy the database to a new file, from one snapshot and without blocking writers.

    The copy has no free pages, which could contain deleted rows.
    """
    check_exists(database)
    source = sqlite_path(database.url)
    try:
        await asyncio.to_thread(_copy, source, copy)
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy.parent)) from error
        raise UserError(f"The database {source} cannot be copied: {error}") from error
    return await run_once(settings_of(copy), read_contents)


def settings_of(path: Path) -> DatabaseSettings:
    """Return the settings of a SQLite file."""
    return DatabaseSettings(url=f"sqlite:///{path.absolute()}")


def check_integrity(path: Path) -> None:
    """Raise UserError if a file is not an intact SQLite database."""
    try:
        with closing(_connect(path)) as connection:
            [[result]] = connection.execute("PRAGMA quick_check(1)")
    except sqlite3.DatabaseError as error:
        result = str(error)
    if result != "ok":
        raise UserError(f"The database of the backup is damaged ({result}). Use another backup")


def replace(database: DatabaseSettings, copy: Path) -> None:
    """Replace the database with a copy that no process has open. Atomic.

    The write-ahead log of the replaced database is written back before, because SQLite would
    apply it to the new one. Raises UserError if a process has the database open.
    """
    target = sqlite_path(database.url)
    _close_wal(copy)
    if target.exists():
        try:
            _close_wal(target)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise UserError(_IN_USE.format(target)) from error
            for suffix in ("-wal", "-shm"):  # it is damaged, and they may not be applied
                target.with_name(target.name + suffix).unlink(missing_ok=True)
    sync(copy)
    copy.replace(target)


def _copy(source: Path, target: Path) -> None:
    target.touch(0o600)
    with closing(_connect(source)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))


def _close_wal(path: Path) -> None:
    with closing(_connect(path, "rw")) as connection:
        [[mode]] = connection.execute("PRAGMA journal_mode")
        if mode != "wal":
            return
        [[is_busy, _, _]] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if is_busy or path.with_name(f"{path.name}-wal").exists():
        raise UserError(_IN_USE.format(path))


def _connect(path: Path, mode: str = "ro") -> sqlite3.Connection:
    uri = f"file:{quote(bytes(path.absolute()))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
