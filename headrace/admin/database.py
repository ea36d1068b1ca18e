"""Database access of commands. Connection errors are raised as `UserError`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from alembic.util import CommandError
from sqlalchemy import Connection

from headrace.errors import UserError
from schemas.settings import DatabaseSettings
from sinks.sql import migrate
from sinks.sql.engine import Database, open_database
from sinks.sql.errors import (
    DATABASE_ERRORS,
    InsufficientPrivilege,
    driver_message,
    is_schema_missing,
)
from sinks.sql.sqlite import sqlite_path

T = TypeVar("T")

_HINT = "Specify another one with HEADRACE_DATABASE__URL, or `headrace up --database`"


def upgrade_database(database: DatabaseSettings) -> None:
    """Migrate to the current schema.

    Raises UserError if the database cannot be used, or has the schema of a later version.
    """
    try:
        migrate.upgrade(database.url)
    except CommandError as error:  # its revision is unknown
        raise UserError(
            f"The database {database.redacted} has the schema of a later version of headrace: "
            "install that version, or use a backup that this version has made"
        ) from error
    except DATABASE_ERRORS as error:
        raise _unreachable(database, error) from error


def check_database(database: DatabaseSettings) -> list[str]:
    """Return the differences from the current schema. Raises UserError."""
    check_exists(database)
    try:
        return migrate.check(database.url)
    except DATABASE_ERRORS as error:
        raise _unreachable(database, error) from error


async def run_once(database: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction. Raises UserError if the database cannot be used."""
    async with connected(database) as opened:
        return await opened.run(work)


@asynccontextmanager
async def connected(
    database: DatabaseSettings, connect: Callable[[str], Database] = open_database
) -> AsyncIterator[Database]:
    """Yield an open database. Errors that the block raises become UserError."""
    check_exists(database)
    opened = connect(database.url)
    try:
        yield opened
    except InsufficientPrivilege as error:
        raise UserError(str(error)) from error
    except DATABASE_ERRORS as error:
        if is_schema_missing(error):
            raise UserError(
                f"The database {database.redacted} is not set up: run `headrace db upgrade`, or "
                f"`headrace up` once. {_HINT}"
            ) from error
        raise _unreachable(database, error) from error
    finally:
        await opened.close()


def check_exists(database: DatabaseSettings) -> None:
    """Raise UserError if the file of a SQLite database does not exist."""
    if not database.is_postgres and not (path := sqlite_path(database.url)).is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise UserError(
            f"The database {path} {kind}. Specify another one with --data-dir, HEADRACE_DATA_DIR "
            "or HEADRACE_DATABASE__URL, or create it with `headrace db upgrade`"
        )


def _unreachable(database: DatabaseSettings, error: Exception) -> UserError:
    why = driver_message(error).rstrip(".")
    return UserError(f"The database {database.redacted} cannot be used: {why}. {_HINT}")
