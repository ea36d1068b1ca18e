"""SQLite files and the engines that open them."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, QueuePool, create_engine, event

from schemas.sqlite_url import parse_sqlite_url

#: How long SQLite waits for another process's lock; also the longest delay of a stop.
BUSY_TIMEOUT_SECONDS = 5


def sqlite_path(url: str) -> Path:
    """Return the absolute path of the database file."""
    return Path(parse_sqlite_url(url)).absolute()


def sqlite_engine(url: str, begin: str, pragmas: Sequence[str], *, connections: int = 5) -> Engine:
    """Return an engine that runs `pragmas` on connect and starts transactions with `begin`.

    Its errors do not contain parameters, because they are logged.
    """
    path = sqlite_path(url)

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # no implicit transactions
        for pragma in pragmas:
            connection.execute(pragma)

    engine = create_engine(
        "sqlite://",  # without the path, parts of which SQLAlchemy could parse as parameters
        hide_parameters=True,
        creator=lambda: _connect(path),
        poolclass=QueuePool,
        pool_size=connections,
    )
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to an existing file; errors contain its path."""
    # mode=rw does not create a missing file, which would have no tables.
    uri = f"file:{quote(os.fsencode(path))}?mode=rw"
    try:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False)
    except sqlite3.OperationalError as error:
        with_path = sqlite3.OperationalError(f"{error}: {path}")
        with_path.sqlite_errorcode = error.sqlite_errorcode
        with_path.sqlite_errorname = error.sqlite_errorname
        raise with_path from None


def create_file(path: Path) -> None:
    """Create an empty file and its directories, readable only by their owner.

    Existing ones are not changed. SQLite creates the WAL files with the same mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
