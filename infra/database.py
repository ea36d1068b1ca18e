"""The database of a command, with errors that a user can fix as sentences."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection

from infra.errors import UserError
from schemas.settings import DatabaseSettings
from sinks.sql import migrate
from sinks.sql.engine import Database, open_database
from sinks.sql.errors import DATABASE_ERRORS, RightMissing, is_schema_missing, reason
from sinks.sql.sqlite import sqlite_path

T = TypeVar("T")

_OPTIONS = "Another is named with HEADRACE_DATABASE__URL, or `headrace up --database`"


def upgrade_database(database: DatabaseSettings) -> None:
    """Migrate; `UserError` when the database is not reached or refuses."""
    try:
        migrate.upgrade(database.url)
    except DATABASE_ERRORS as error:
        raise _unreachable(database, error) from error


def check_database(database: DatabaseSettings) -> list[str]:
    """Return what differs; `UserError` when the database is not reached."""
    check_exists(database)
    try:
        return migrate.check(database.url)
    except DATABASE_ERRORS as error:
        raise _unreachable(database, error) from error


async def run_once(database: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    """Run one transaction; `UserError` when the database is not reached or not set up."""
    async with using(database) as opened:
        return await opened.run(work)


@asynccontextmanager
async def using(
    database: DatabaseSettings, open_it: Callable[[str], Database] = open_database
) -> AsyncIterator[Database]:
    """Give the database; `UserError` when in the block it is not reached or not set up."""
    check_exists(database)
    opened = open_it(database.url)
    try:
        yield opened
    except RightMissing as error:
        raise UserError(str(error)) from error
    except DATABASE_ERRORS as error:
        if is_schema_missing(error):
            raise UserError(
                f"The database {database.redacted} is not set up: run `headrace db upgrade`, or "
                f"`headrace up` once. {_OPTIONS}"
            ) from error
        raise _unreachable(database, error) from error
    finally:
        await opened.close()


def check_exists(database: DatabaseSettings) -> None:
    """Raise `UserError`, with the path, when the file of a SQLite database is missing."""
    if not database.is_postgres and not (path := sqlite_path(database.url)).is_file():
        kind = "is no file" if path.exists() else "does not exist"
        raise UserError(
            f"The database {path} {kind}. Name another with --data-dir, HEADRACE_DATA_DIR or "
            "HEADRACE_DATABASE__URL, or create it with `headrace db upgrade`"
        )


def _unreachable(database: DatabaseSettings, error: Exception) -> UserError:
    why = reason(error).rstrip(".")
    return UserError(f"The database {database.redacted} cannot be used: {why}. {_OPTIONS}")
