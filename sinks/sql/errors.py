"""Classification of database errors by how they are handled.

*Transient* errors are retried; *poison* rows are rejected on every attempt and dead-lettered; all
others are configuration errors or bugs, and stop the worker.
"""

import sqlite3
from collections.abc import Iterator

import asyncpg
import sqlalchemy.exc

#: Prefixes of SQLSTATEs: connection exceptions, serialization failures and deadlocks, insufficient
#: resources, statement, lock and idle timeouts, operator intervention, I/O errors.
_TRANSIENT_STATES = ("08", "40001", "40P01", "53", "55P03", "57014", "57P", "25P03", "58030")
#: Data exceptions, constraint violations, program limits exceeded (an index entry over 8 KiB).
_POISON_STATES = ("22", "23", "54")
#: Invalid authorization, unknown database.
_REJECTED_STATES = ("28", "3D")
_UNDEFINED_STATES = ("42P01", "42703", "3F000")

_LOST_CONNECTION = ("connection is closed", "connection was closed", "cannot switch to state")

_TRANSIENT_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PROTOCOL,
}
_POISON_SQLITE = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}


#: The errors of SQLAlchemy and the drivers, because it does not wrap all of asyncpg's.
DRIVER_ERRORS = (
    sqlalchemy.exc.SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
#: Driver errors, and errors while connecting.
DATABASE_ERRORS = (*DRIVER_ERRORS, OSError)


class DatabaseUnavailable(Exception):  # noqa: N818 - names the condition
    """The worker was stopped while the database was unavailable; nothing was written."""


class ClusterMismatch(Exception):  # noqa: N818
    """The database holds results of another Kafka cluster."""


class LogTruncated(Exception):  # noqa: N818
    """The database is ahead of the topic, which was recreated or lost its last records."""


class NotAssigned(Exception):  # noqa: N818
    """A partition without a row in `consumer_offsets` was written, so it could not be fenced."""


class SchemaMissing(Exception):  # noqa: N818
    """A table or column is missing: the migrations have not been run."""


class InsufficientPrivilege(Exception):  # noqa: N818
    """The database user lacks a privilege; the message says how to grant it."""


class ReadTimeout(TimeoutError):  # noqa: N818
    """A read was cancelled because it exceeded its time limit of `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the read took longer than {seconds:g} s and was cancelled")
        self.seconds = seconds


def is_transient(error: BaseException) -> bool:
    """Return True if a later retry of the same transaction can succeed."""
    if isinstance(error, OSError | sqlalchemy.exc.TimeoutError):
        return True
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated:
        return True
    state = _sqlstate(error)
    if state is not None:
        return state.startswith(_TRANSIENT_STATES)
    code = _sqlite_code(error)
    if code is not None:
        return code in _TRANSIENT_SQLITE
    # asyncpg's errors about lost connections have no SQLSTATE, are not wrapped while connecting,
    # and SQLAlchemy does not always detect that the connection is closed.
    is_driver_error = isinstance(error, sqlalchemy.exc.DBAPIError | asyncpg.InterfaceError)
    return is_driver_error and any(text in str(error) for text in _LOST_CONNECTION)


def is_connection_rejected(error: BaseException) -> bool:
    """Return True if the server rejects the user, the password or the database name."""
    return (_sqlstate(error) or "").startswith(_REJECTED_STATES)


def is_poison(error: BaseException) -> bool:
    """Return True if the database or its driver rejects a value of a row."""
    if is_transient(error):
        return False
    if isinstance(error, UnicodeError | OverflowError) or _is_encoding_error(error):
        return True
    state = _sqlstate(error)
    if state is not None:
        return state.startswith(_POISON_STATES)
    return _sqlite_code(error) in _POISON_SQLITE


def is_cancelled(error: BaseException) -> bool:
    """Return True if a statement was cancelled, by its timeout or on request."""
    return _sqlstate(error) == "57014" or _sqlite_code(error) == sqlite3.SQLITE_INTERRUPT


def is_schema_missing(error: BaseException) -> bool:
    """Return True if a table, a column or the SQLite file is missing."""
    if (state := _sqlstate(error)) is not None:
        return state in _UNDEFINED_STATES
    code, message = _sqlite_code(error), driver_message(error)
    return code == sqlite3.SQLITE_CANTOPEN or (
        code == sqlite3.SQLITE_ERROR
        and message.startswith(("no such table", "no such column", "table"))
    )


def explain(error: BaseException) -> str:
    """Return a sentence for the operator: what is wrong, and what to do if they can fix it."""
    code = _sqlite_code(error)
    if code == sqlite3.SQLITE_FULL:
        return "The disk of the database is full: free some space; no other action is needed"
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return "Another process holds the lock of the database file"
    return f"The database does not answer ({driver_message(error)})"


def driver_message(error: BaseException) -> str:
    """Return the driver's message on one line, without the statement and its parameters."""
    cause = next((c for c in reversed(list(_causes(error))) if str(c)), error)
    message = " ".join(str(cause).split()) or type(cause).__name__
    if "target attribute requirement" in message:  # asyncpg's message shows a Python object
        return "no available host satisfies target_session_attrs"
    return message[:300]


def _is_encoding_error(error: BaseException) -> bool:
    """Return True if the driver could not encode a value."""
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return False
    # asyncpg raises a ValueError; sqlite3's error differs from others only by its message.
    is_value_error = any(isinstance(cause, ValueError) for cause in _causes(error))
    return is_value_error or "Error binding parameter" in str(error.orig)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = getattr(cause, "orig", None) or cause.__cause__


def _sqlstate(error: BaseException) -> str | None:
    for cause in _causes(error):
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def _sqlite_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code: the low byte of an extended one."""
    for cause in _causes(error):
        code = getattr(cause, "sqlite_errorcode", None)
        if isinstance(code, int):
            return code & 0xFF
    return None
