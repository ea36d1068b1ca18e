"""SQL sorts text like Python, whatever the collation of the PostgreSQL database."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from headrace.ops.audit.run import audit
from query_api import queries
from schemas.settings import DatabaseSettings, Settings
from sinks.paging import Slice
from sinks.sql.engine import open_database
from sinks.sql.migrate import check, upgrade
from sinks.sql.tables import EventRow, PageDurationRow, SessionRow
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, duration_at, event_at, expect_no_rejection, visit_at
from tests.fixtures.migrated import create_migrated

NAMES = sorted(
    {"a-b", "aB", "A_b", "a.b", "ab", "Ab", "a", "A", "_", "-", "0", ".", "Z", "z", "a0", "A0"}
    | {"".join(letters) for letters in permutations("aA-_", 3)}
)
#: With characters of three and four bytes, which UTF-16 sorts in the opposite order.
PATHS = [*(f"/{name}" for name in NAMES), "/ä", "/ß", "/é", "/\uffee", "/\U0001f600"]


@pytest.fixture
async def aged_url(english_url: str) -> str:
    """Return the URL of a database of the second revision, with a row."""
    await samples.migrate_to(english_url, "0002")
    await samples.execute(english_url, "INSERT INTO alert_sequence VALUES ('alerts', 0)")
    return english_url


@pytest.fixture(params=["sqlite", "migrated_postgres_url", "english_url", "aged_url"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a migrated database."""
    if request.param == "sqlite":
        return create_migrated(f"sqlite:///{tmp_path}/x.db")
    found: str = request.getfixturevalue(request.param)
    if not request.param.startswith("migrated"):
        upgrade(found)
    return found


async def test_the_database_has_another_collation(english_url: str) -> None:
    """Otherwise the tests below would prove nothing."""
    names = ", ".join(f"('{name}')" for name in NAMES)
    query = f"SELECT name FROM (VALUES {names}) AS names (name) ORDER BY name"  # noqa: S608

    found = [row[0] for row in await samples.query(english_url, query)]

    assert found.index("aB") < found.index("Ab") < found.index("z") < found.index("Z")


async def test_every_site_is_listed_once(url: str) -> None:
    """With any page size, in Python's order."""
    visits = [
        (at, (*visit_at(0, name, 1)[1][:1], name, *visit_at(0, name, 1)[1][2:]))
        for at, name in enumerate(NAMES)
    ]
    await _write(url, {SessionRow: visits})

    def walk(connection: Connection, limit: int) -> list[str]:
        found = queries.sites(connection, limit)
        while some := queries.sites(connection, limit, found[-1]):
            found += some
        return found

    for limit in (1, 2, 7, 1_000):
        assert await _run(url, lambda c, n=limit: walk(c, n)) == NAMES  # type: ignore[misc]


async def test_every_page_is_listed_once(url: str) -> None:
    """With any page size, in Python's order."""
    rows = [duration_at(at, path, 1, sketch=b"") for at, path in enumerate(PATHS)]
    await _write(url, {PageDurationRow: rows})

    def walk(connection: Connection, limit: int) -> list[str]:
        found: list[str] = []
        after: Any = None
        while True:
            page = queries.pages(connection, "shop", Slice(limit, after, None, None))
            found += [item["path"] for item in page.items]
            if page.next_cursor is None:
                return found
            after = (datetime(2026, 4, 1, 12, tzinfo=UTC), found[-1])

    for limit in (1, 2, 7, 1_000):
        assert await _run(url, lambda c, n=limit: walk(c, n)) == sorted(PATHS)  # type: ignore[misc]


async def test_an_audit_finds_each_session_by_its_name(url: str) -> None:
    """Rows of both tables are matched, in whatever order they were written."""
    names = [(site, session) for site in ("Ab", "aC", "B", "a") for session in NAMES]
    events = [
        event_at(at, site_id=site, session_id=session, type="error")
        for at, (site, session) in enumerate(names)
    ]
    await _write(url, {EventRow: events})
    settings = Settings(database=DatabaseSettings(url=url))

    (sessions, *_) = await audit(settings, 0, lambda _: None, lambda _: None)

    # There are no results, so each session is reported as missing exactly once.
    assert (sessions.compared, sessions.differing) == (len(names), len(names))


async def test_every_text_column_is_compared_by_bytes(url: str) -> None:
    """The schema check finds no difference."""
    assert check(url) == []
    if url.startswith("sqlite:"):
        return
    others = await samples.query(
        url,
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'text' "
        "AND table_name <> 'alembic_version' AND collation_name IS DISTINCT FROM 'C'",
    )
    assert others == []


async def _write(url: str, rows: Any) -> None:
    writer = await samples.open_for_test(url)
    try:
        await writer.assign(TOPIC, 0)
        await writer.write(TOPIC, 0, 100_000, rows, expect_no_rejection)
    finally:
        await writer.close()


async def _run(url: str, work: Callable[[Connection], Any]) -> Any:
    database = open_database(url)
    try:
        return await database.run(work)
    finally:
        await database.close()
