"""Every test of this folder that asks for `database_url` runs on both engines.

The slow tests have PostgreSQL a second time, through PgBouncer in transaction mode.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sinks.sql.migrate import upgrade
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.place import Harness, open_harness


@pytest.fixture(
    params=["sqlite", "postgresql", pytest.param("pgbouncer", marks=pytest.mark.slow)],
)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/headrace.db"
    name = "postgres_url" if request.param == "postgresql" else "pgbouncer_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def database_url(empty_url: str) -> str:
    """Return the URL of an empty, migrated database."""
    upgrade(empty_url)
    return empty_url


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Writer]:
    """Yield a writer that owns partition 0."""
    writer = await samples.open_for_test(database_url)
    await writer.assign(samples.TOPIC, 0)
    yield writer
    await writer.close()


@pytest.fixture
async def harness(database_url: str) -> AsyncIterator[Harness]:
    """Yield the subscription service with its database and topic."""
    async with open_harness(database_url) as harness:
        yield harness
