"""Classification of database errors, and retries."""

import logging
import sqlite3

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sinks.sql import retries as patience
from sinks.sql.errors import (
    DatabaseUnavailable,
    SchemaMissing,
    driver_message,
    explain,
    is_poison,
    is_transient,
)
from sinks.sql.retries import Retrier


class _ServerError(Exception):
    """An error as asyncpg raises it."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"state {sqlstate}")
        self.sqlstate = sqlstate


def sqlite_error(code: int, words: str = "words") -> OperationalError:
    """Return an error as SQLAlchemy wraps it."""
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return OperationalError("SELECT secret", (), error)


def postgres_error(sqlstate: str) -> DBAPIError:
    """Return an error as SQLAlchemy wraps it."""
    return DBAPIError("SELECT secret", (), _ServerError(sqlstate))


_TRANSIENT = [
    ConnectionRefusedError("nobody listens"),
    TimeoutError(),
    PoolTimeoutError("the pool is empty"),
    *(postgres_error(state) for state in ("08006", "40001", "40P01", "57P01", "53300", "25P03")),
    DBAPIError("x", (), Exception("odd"), connection_invalidated=True),
    InterfaceError("x", (), Exception("connection is closed")),
    asyncpg.InterfaceError("connection is closed"),
    *(sqlite_error(code) for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)),
    sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT),
]
_POISON = [
    *(postgres_error(state) for state in ("22003", "22021", "22P02", "23502", "54000")),
    IntegrityError("x", (), sqlite_error(sqlite3.SQLITE_CONSTRAINT_NOTNULL).orig or Exception()),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    OverflowError("too large"),
    InterfaceError("x", (), ValueError("invalid input for query argument $1")),
]
_NEITHER = [
    ValueError("a row is longer than its table"),
    postgres_error("28P01"),
    postgres_error("42P01"),
    sqlite_error(sqlite3.SQLITE_CORRUPT),
    sqlite_error(sqlite3.SQLITE_READONLY),
    RuntimeError("a bug"),
]


@pytest.mark.parametrize("error", _TRANSIENT, ids=repr)
def test_transient_errors_are_recognized(error: Exception) -> None:
    """Of both drivers, wrapped or not."""
    assert is_transient(error)
    assert not is_poison(error)


@pytest.mark.parametrize("error", _POISON, ids=repr)
def test_poison_values_are_recognized(error: Exception) -> None:
    """They are not transient."""
    assert is_poison(error)
    assert not is_transient(error)


@pytest.mark.parametrize("error", _NEITHER, ids=repr)
def test_other_errors_are_neither_transient_nor_poison(error: Exception) -> None:
    """Configuration errors and bugs stop the worker."""
    assert not is_transient(error)
    assert not is_poison(error)


def test_messages_contain_no_statement_and_no_parameters() -> None:
    """They may contain visitors' data."""
    error = sqlite_error(sqlite3.SQLITE_IOERR, "disk I/O error\nsecond line")

    assert driver_message(error) == "disk I/O error second line"
    assert "secret" not in explain(error)


async def test_an_attempt_is_retried_until_it_succeeds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs one line per problem and one on recovery; `problem` is set in between."""
    caplog.set_level(logging.WARNING, "sinks.sql")
    monkeypatch.setattr(patience, "MIN_DELAY_SECONDS", 0.001)
    errors: list[Exception] = [ConnectionRefusedError("away"), ConnectionRefusedError("away")]
    retrier = Retrier(lambda: False)
    problems: list[str | None] = []

    async def attempt() -> str:
        problems.append(retrier.problem)
        if errors:
            raise errors.pop()
        return "done"

    assert await retrier.run(attempt) == "done"
    assert problems == [None, *["The database does not answer (away)"] * 2]
    assert retrier.problem is None
    assert len(caplog.records) == 2


async def test_a_stop_ends_the_retries() -> None:
    """The cause is chained."""

    async def attempt() -> None:
        raise ConnectionRefusedError("away")

    with pytest.raises(DatabaseUnavailable, match=r"away.*stopped") as caught:
        await Retrier(lambda: True).run(attempt)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_permanent_errors_are_raised_immediately() -> None:
    """A missing table with the command that creates it."""
    errors = [sqlite_error(sqlite3.SQLITE_ERROR, "no such table: events"), RuntimeError("a bug")]

    async def attempt() -> None:
        raise errors.pop()

    with pytest.raises(RuntimeError, match="a bug"):
        await Retrier(lambda: False).run(attempt)
    with pytest.raises(SchemaMissing, match=r"no such table: events.*headrace db upgrade"):
        await Retrier(lambda: False).run(attempt)
