"""Waiting for a database, and telling which trouble passes."""

import logging
import sqlite3

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sinks.sql import patience
from sinks.sql.errors import (
    DatabaseUnavailable,
    SchemaMissing,
    driver_message,
    explain,
    is_poison,
    is_transient,
)
from sinks.sql.patience import Retrier


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
def test_trouble_that_passes_is_waited_for(error: Exception) -> None:
    """Whatever class its driver gives it."""
    assert is_transient(error)
    assert not is_poison(error)


@pytest.mark.parametrize("error", _POISON, ids=repr)
def test_a_bad_value_is_a_matter_of_its_row(error: Exception) -> None:
    """And is looked for among the rows."""
    assert is_poison(error)
    assert not is_transient(error)


@pytest.mark.parametrize("error", _NEITHER, ids=repr)
def test_faults_of_set_up_and_program_are_neither(error: Exception) -> None:
    """To wait would hide them; to blame rows would throw good ones away."""
    assert not is_transient(error)
    assert not is_poison(error)


def test_neither_sentence_tells_the_statement_or_its_values() -> None:
    """They hold what visitors sent."""
    error = sqlite_error(sqlite3.SQLITE_IOERR, "disk I/O error\nsecond line")

    assert driver_message(error) == "disk I/O error second line"
    assert "secret" not in explain(error)


async def test_an_attempt_is_repeated_until_it_succeeds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for the same trouble, one when it is over; readiness knows meanwhile."""
    caplog.set_level(logging.WARNING, "sinks.sql")
    monkeypatch.setattr(patience, "MIN_DELAY_SECONDS", 0.001)
    errors: list[Exception] = [ConnectionRefusedError("away"), ConnectionRefusedError("away")]
    waiting = Retrier(lambda: False)
    told: list[str | None] = []

    async def attempt() -> str:
        told.append(waiting.problem)
        if errors:
            raise errors.pop()
        return "done"

    assert await waiting.run(attempt) == "done"
    assert told == [None, *["The database does not answer (away)"] * 2]
    assert waiting.problem is None
    assert len(caplog.records) == 2


async def test_a_stop_ends_the_waiting() -> None:
    """The cause is kept."""

    async def attempt() -> None:
        raise ConnectionRefusedError("away")

    with pytest.raises(DatabaseUnavailable, match=r"away.*stopping") as caught:
        await Retrier(lambda: True).run(attempt)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_what_does_not_pass_is_raised_at_once() -> None:
    """A missing table with the command that makes it."""
    errors = [sqlite_error(sqlite3.SQLITE_ERROR, "no such table: events"), RuntimeError("a bug")]

    async def attempt() -> None:
        raise errors.pop()

    with pytest.raises(RuntimeError, match="a bug"):
        await Retrier(lambda: False).run(attempt)
    with pytest.raises(SchemaMissing, match=r"no such table: events.*headrace db upgrade"):
        await Retrier(lambda: False).run(attempt)
