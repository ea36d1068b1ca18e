"""Every test of this folder with the fixture `database_url` runs on both engines.

The slow tests have PostgreSQL a second time, through PgBouncer in transaction mode.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sinks.sql.migrate import upgrade
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.place import Harness, open_harness
from tests.fixtures.migrated import create_migrated

_ENGINES = ["sqlite", "postgresql", pytest.param("pgbouncer", marks=pytest.mark.slow)]


@pytest.fixture(params=_ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/headrace.db"
    name = "postgres_url" if request.param == "postgresql" else "pgbouncer_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(params=_ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty, migrated database."""
    if request.param == "sqlite":
        return create_migrated(f"sqlite:///{tmp_path}/data/headrace.db")
    if request.param == "postgresql":
        url: str = request.getfixturevalue("migrated_postgres_url")
        return url
    pooled: str = request.getfixturevalue("pgbouncer_url")
    upgrade(pooled)
    return pooled


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
