"""SQLite files: found by their path as it is given, and readable by their owner alone."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, QueuePool, create_engine, event

from schemas.sqlite_url import parse_sqlite_url

#: Seconds that SQLite waits for another process's lock before the attempt counts as failed
#: and is logged; a stop waits no longer.
BUSY_SECONDS = 5


def sqlite_path(url: str) -> Path:
    """Return the file's path, absolute."""
    return Path(parse_sqlite_url(url)).absolute()


def sqlite_engine(url: str, begin: str, pragmas: Sequence[str], *, connections: int = 5) -> Engine:
    """Return an engine whose connections run `pragmas` and whose transactions start by `begin`.

    As with PostgreSQL, its errors show no values: they are logged.
    """
    path = sqlite_path(url)

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions by itself
        for pragma in pragmas:
            connection.execute(pragma)

    engine = create_engine(
        "sqlite://",  # the path goes past SQLAlchemy, which would read parts of it as parameters
        hide_parameters=True,
        creator=lambda: _connect(path),
        poolclass=QueuePool,
        pool_size=connections,
    )
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to a file that exists; the error about one that does not names its path."""
    # `mode=rw`: a file that is missing is an error, and not made here without its tables.
    address = f"file:{quote(os.fsencode(path))}?mode=rw"
    try:
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
    except sqlite3.OperationalError as error:
        named = sqlite3.OperationalError(f"{error}: {path}")
        named.sqlite_errorcode = error.sqlite_errorcode
        named.sqlite_errorname = error.sqlite_errorname
        raise named from None


def create(path: Path) -> None:
    """Create an empty file, and its directories, that only their owner can read.

    Nothing changes for those that exist. SQLite gives the files next to it the same mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
