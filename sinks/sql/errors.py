"""What can go wrong with the database, told apart by what is to be done about it.

*Transient* trouble passes by itself and is retried; a *poison* row is refused whatever is
tried; anything else is a fault of set-up or program and ends the worker with its sentence.
"""

import sqlite3
from collections.abc import Iterator

import asyncpg
import sqlalchemy.exc

#: Of PostgreSQL, by the first characters of the SQLSTATE: connection trouble, serialization
#: and deadlock, resources, statement or lock timeout, administrator's intervention.
_TRANSIENT_STATES = ("08", "40001", "40P01", "53", "55P03", "57014", "57P", "25P03", "58030")
#: Bad values, broken constraints, values over a limit (an index entry of 8 KiB).
_POISON_STATES = ("22", "23", "54")
#: The user or the password is rejected, or there is no such database.
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


#: What SQLAlchemy and the drivers raise; not all that asyncpg raises is wrapped.
DRIVER_ERRORS = (
    sqlalchemy.exc.SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
#: What work with a database raises, also when it is not reached.
DATABASE_ERRORS = (*DRIVER_ERRORS, OSError)


class DatabaseUnavailable(Exception):  # noqa: N818 - what it says, not that it is an error
    """The database was away and the program is stopping: nothing was written, read it again."""


class ClusterMismatch(Exception):  # noqa: N818
    """The database holds results of another Kafka cluster."""


class LogTruncated(Exception):  # noqa: N818
    """The database is ahead of the topic: the topic was made anew, or lost its end."""


class NotAssigned(Exception):  # noqa: N818
    """A partition was written before `assign` made its row: nothing would fence it."""


class SchemaMissing(Exception):  # noqa: N818
    """A table or column is not there: the migrations have not run."""


class RightMissing(Exception):  # noqa: N818
    """The database's user may not do what is needed; the message says how to let them."""


class TooSlow(TimeoutError):  # noqa: N818 - what it says, as those above
    """A read was ended because it exceeded its time limit of `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the read took longer than {seconds:g} s and was ended")
        self.seconds = seconds


def is_transient(error: BaseException) -> bool:
    """Return True if trying again, later, can succeed without anyone changing the program."""
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
    # What asyncpg raises of a connection that ended under it has no SQLSTATE, is not wrapped while
    # connecting, and the wrapper does not always notice that the connection is closed.
    is_of_the_driver = isinstance(error, sqlalchemy.exc.DBAPIError | asyncpg.InterfaceError)
    return is_of_the_driver and any(sign in str(error) for sign in _LOST_CONNECTION)


def is_connection_rejected(error: BaseException) -> bool:
    """Return True if the server answers but does not let this user into this database."""
    return (_sqlstate(error) or "").startswith(_REJECTED_STATES)


def is_poison(error: BaseException) -> bool:
    """Return True if a row is at fault, by what is in it."""
    if is_transient(error):
        return False
    if isinstance(error, UnicodeError | OverflowError) or _is_refused_by_driver(error):
        return True
    state = _sqlstate(error)
    if state is not None:
        return state.startswith(_POISON_STATES)
    return _sqlite_code(error) in _POISON_SQLITE


def is_ended_early(error: BaseException) -> bool:
    """Return True if the engine ended a statement at its time limit or on a cancel request."""
    return _sqlstate(error) == "57014" or _sqlite_code(error) == sqlite3.SQLITE_INTERRUPT


def is_schema_missing(error: BaseException) -> bool:
    """Return True if a table or column is missing, or the directory of a SQLite file."""
    if (state := _sqlstate(error)) is not None:
        return state in _UNDEFINED_STATES
    code, words = _sqlite_code(error), reason(error)
    return code == sqlite3.SQLITE_CANTOPEN or (
        code == sqlite3.SQLITE_ERROR
        and words.startswith(("no such table", "no such column", "table"))
    )


def explain(error: BaseException) -> str:
    """Return a sentence for an operator: what is wrong, and whether it is theirs to mend."""
    code = _sqlite_code(error)
    if code == sqlite3.SQLITE_FULL:
        return "The disk of the database is full: free some space, nothing else is needed"
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return "Another process holds the lock of the database file"
    return f"The database does not answer ({reason(error)})"


def reason(error: BaseException) -> str:
    """Return the driver's own words on one line; never the statement or its values."""
    cause = next((c for c in reversed(list(_causes(error))) if str(c)), error)
    words = " ".join(str(cause).split()) or type(cause).__name__
    if "target attribute requirement" in words:  # in asyncpg's words, with a Python object
        return "no host that answers is what target_session_attrs asks for"
    return words[:300]


def _is_refused_by_driver(error: BaseException) -> bool:
    """Return True if the driver could not encode a value, and so never sent it."""
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return False
    # asyncpg's is a ValueError; sqlite3's can only be told by its words.
    asyncpg_did = any(isinstance(cause, ValueError) for cause in _causes(error))
    return asyncpg_did or "Error binding parameter" in str(error.orig)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what the driver raised, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = getattr(seen, "orig", None) or seen.__cause__


def _sqlstate(error: BaseException) -> str | None:
    for cause in _causes(error):
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def _sqlite_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code; the extended ones carry it in the low byte."""
    for cause in _causes(error):
        code = getattr(cause, "sqlite_errorcode", None)
        if isinstance(code, int):
            return code & 0xFF
    return None
