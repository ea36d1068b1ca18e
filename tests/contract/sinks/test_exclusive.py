"""Commands that rewrite results exclude each other."""

import pytest

from headrace.errors import UserError
from headrace.ops.exclusive import exclusive
from schemas.settings import DatabaseSettings
from tests.contract.sinks.place import BODY, Harness


async def test_a_second_command_is_rejected_until_the_first_has_ended(database_url: str) -> None:
    """However the first one ends."""
    database = DatabaseSettings(url=database_url)
    first = exclusive(database)
    await first.__aenter__()
    with pytest.raises(UserError, match="Another command rewrites results of"):
        await exclusive(database).__aenter__()
    error = ValueError("failed")
    assert not await first.__aexit__(type(error), error, None)

    async with exclusive(database):
        pass


async def test_the_roles_are_not_locked_out(harness: Harness, database_url: str) -> None:
    """`sinks` may run during a rebuild."""
    async with exclusive(DatabaseSettings(url=database_url)):
        await harness.service.create(BODY)
