"""Migrations, with errors that a user can put right as sentences."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from infra.errors import UserError
from schemas.settings import DatabaseSettings
from sinks.sql import migrate
from sinks.sql.engine import Database, open_database
from sinks.sql.errors import RightMissing, is_schema_missing, reason

T = TypeVar("T")


def upgrade_database(database: DatabaseSettings) -> None:
    """Migrate; `UserError` when the database is not reached or refuses."""
    try:
        migrate.upgrade(database.url)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _unreachable(database, error) from error


def check_database(database: DatabaseSettings) -> list[str]:
    """Return what differs; `UserError` when the database is not reached."""
    try:
        return migrate.check(database.url)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
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
    opened = open_it(database.url)
    try:
        yield opened
    except RightMissing as error:
        raise UserError(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        if is_schema_missing(error):
            raise UserError(
                "The database is not set up: run `headrace db upgrade`, or `headrace up` once"
            ) from error
        raise _unreachable(database, error) from error
    finally:
        await opened.close()


def _unreachable(database: DatabaseSettings, error: Exception) -> UserError:
    shown = make_url(database.url).render_as_string(hide_password=True)
    return UserError(
        f"The database {shown} cannot be used: {reason(error)}. Is it running, and is "
        "HEADRACE_DATABASE__URL (or --database) right?"
    )
