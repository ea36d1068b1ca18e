"""How the engines are opened."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from sinks.sql.engine import postgres_engine, sqlite_engine


@pytest.mark.parametrize(
    ("query", "asked"),
    [("", {}), ("?sslmode=require", {"ssl": "require"}), ("?host=/run/pg", {"host": "/run/pg"})],
)
def test_the_url_may_ask_for_encryption_as_libpq_does(query: str, asked: dict[str, str]) -> None:
    """It has another name in asyncpg; the rest is passed on."""
    engine = postgres_engine(f"postgresql://me:word@db.example:5433/headrace{query}", None)

    assert dict(engine.url.query) == asked
    assert (engine.url.host, engine.url.port, engine.url.drivername) == (
        "db.example",
        5433,
        "postgresql+asyncpg",
    )


def test_errors_tell_no_values() -> None:
    """They are logged, and the values are what clients sent."""
    engine = sqlite_engine("sqlite://")
    with engine.begin() as connection, pytest.raises(StatementError) as failed:
        connection.execute(text("SELECT :value FROM nowhere"), {"value": "s3cret"})

    assert "s3cret" not in str(failed.value)
