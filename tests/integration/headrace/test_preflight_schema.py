"""A missing schema in PostgreSQL is reported before `headrace up` starts a process."""

import asyncio

import pytest

from headrace.errors import UserError
from headrace.up.preflight import check_database
from schemas.settings import DatabaseSettings


@pytest.mark.parametrize("parameter", ["schema=nope", "options=-csearch_path%3Dnope"])
async def test_a_missing_schema_is_reported(postgres_url: str, parameter: str) -> None:
    """Whichever parameter of the URL names it."""
    database = DatabaseSettings(url=f"{postgres_url}?{parameter}")
    with pytest.raises(UserError, match="no schema to create tables in"):
        await asyncio.to_thread(check_database, database)


async def test_an_existing_schema_is_accepted(postgres_url: str) -> None:
    """Such as `public`."""
    await asyncio.to_thread(check_database, DatabaseSettings(url=f"{postgres_url}?schema=public"))
