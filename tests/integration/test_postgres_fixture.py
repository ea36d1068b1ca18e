"""The PostgreSQL that the tests get."""

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine


async def test_sqlalchemy_reaches_an_empty_database_by_asyncpg(postgres_url: str) -> None:
    """The URL needs only its driver's name to work with SQLAlchemy."""
    engine = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE only_here (id int)"))
        version = await connection.scalar(text("SHOW server_version_num"))
    await engine.dispose()

    assert int(version or 0) >= 160000


async def test_each_test_gets_a_database_of_its_own(postgres_url: str) -> None:
    """The table that the test before made is not there."""
    engine = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        found = await connection.scalar(text("SELECT to_regclass('only_here')"))
    await engine.dispose()

    assert found is None
