"""A schema of PostgreSQL that does not exist is reported before anything is started."""

import asyncio

import pytest

from infra.errors import UserError
from infra.preflight import check_database
from schemas.settings import DatabaseSettings


@pytest.mark.parametrize("parameter", ["schema=nope", "options=-csearch_path%3Dnope"])
async def test_a_schema_that_does_not_exist_is_reported_by_the_parameter(
    postgres_url: str, parameter: str
) -> None:
    """The broker and its topics are not started for it."""
    database = DatabaseSettings(url=f"{postgres_url}?{parameter}")
    with pytest.raises(UserError, match="no schema to create tables in"):
        await asyncio.to_thread(check_database, database)


async def test_a_database_with_its_schema_is_used(postgres_url: str) -> None:
    """`public` is there from the start."""
    await asyncio.to_thread(check_database, DatabaseSettings(url=f"{postgres_url}?schema=public"))
