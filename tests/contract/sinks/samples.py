"""Sample rows and database access for the tests of the writer."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from alembic import command
from sqlalchemy import Connection
from sqlmodel import Session, SQLModel, select

from schemas.records import Alert, PageDuration, RawEvent, Screen, SessionState, Stamped, Visit
from sinks.rows import alert_row, duration_row, event_row, session_rows
from sinks.sql import migrate
from sinks.sql.batch import RejectedRecord, SourcedRow
from sinks.sql.engine import open_database
from sinks.sql.sqlite import create_file, sqlite_engine, sqlite_path
from sinks.sql.tables import table_of
from sinks.sql.writer import Writer, open_writer

T = TypeVar("T")

NOON = 1_775_044_800_000_000
NOON_TIME = datetime(2026, 4, 1, 12, tzinfo=UTC)
TOPIC = "events-raw"


def uuid_of(name: object) -> str:
    """Return the same id for the same name."""
    return str(uuid5(NAMESPACE_URL, str(name)))


def raw_event(name: object, **fields: Any) -> RawEvent:
    """Return an event that uses most column types."""
    given: dict[str, Any] = {
        "event_id": uuid_of(name),
        "type": "payment",
        "site_id": "shop",
        "session_id": "s-1",
        "received_at": NOON + 1,
        "event_ts": NOON,
        "time_source": "client",
        "url": "https://shop.example/buy?x=1",
        "screen": Screen(width=1920, height=1080),
        "duration_ms": 2**40,
        "properties": '{"plan": "pro", "tags": ["ä", "\\u0000"]}',
        "vitals": {"lcp": 2500.5},
        "amount": Decimal("12.500000"),
        "truncated": ["url"],
    }
    return RawEvent(**{**given, **fields})


def event_at(offset: int, name: object | None = None, **fields: Any) -> SourcedRow:
    """Return the row of an event at an offset of partition 0."""
    named = offset if name is None else name
    return offset, event_row(raw_event(named, **fields), 0, offset)


def visit(name: object, revision: int, **fields: Any) -> Visit:
    """Return a visit with a revision."""
    given: dict[str, Any] = {
        "visit_id": uuid_of(name),
        "began_offset": 0,
        "started_at": NOON,
        "ended_at": NOON + 90_000_000,
        "last_log_ms": 0,
        "state": "open",
        "revision": revision,
        "events": revision,
        "pageviews": 1,
        "errors": 0,
        "payments": 0,
        "engagements": 0,
        "entry": Stamped("/in", NOON, uuid_of("in")),
    }
    return Visit(**{**given, **fields})


def visit_at(offset: int, name: object, revision: int, **fields: Any) -> SourcedRow:
    """Return the row of a visit's revision at an offset."""
    state = SessionState(
        site_id="shop", session_id="s-1", src_offset=0, visits=[visit(name, revision, **fields)]
    )
    return offset, session_rows(state)[0]


def duration_at(offset: int, path: str, revision: int, **fields: Any) -> SourcedRow:
    """Return the row of a page duration at an offset."""
    given: dict[str, Any] = {
        "site_id": "shop",
        "hour": NOON,
        "path": path,
        "partition": 0,
        "generation": 0,
        "revision": revision,
        "src_offset": 0,
        "last_log_ms": 0,
        "leaves": revision,
        "total_ms": revision * 100,
        "min_ms": 100,
        "max_ms": 100,
        "sketch": b"\x00\xff",
    }
    return offset, duration_row(PageDuration(**{**given, **fields}))


def alert_at(
    offset: int, name: object, site_id: str = "shop", subscription_id: str | None = None
) -> SourcedRow:
    """Return the row of an alert at an offset."""
    return offset, alert_row(
        Alert(
            alert_id=uuid_of(name),
            site_id=site_id,
            rule="payment",
            subject="payments",
            title=f"Payment {name}",
            details='{"amount": 1}',
            event_id=uuid_of(("event", name)),
            raised_at=NOON,
            subscription_id=subscription_id,
        )
    )


async def migrate_to(url: str, revision: str) -> None:
    """Create an empty database of an earlier revision."""

    def to_revision(connection: Connection) -> None:
        command.upgrade(migrate._config(connection), revision)  # noqa: SLF001 - not for users

    if url.startswith("sqlite:"):
        create_file(sqlite_path(url))
    await _in_transaction(url, to_revision)


async def insert(url: str, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, given as dicts of Python values."""
    table = table_of(model)
    await _in_transaction(url, lambda connection: connection.execute(table.insert(), rows))


async def open_for_test(url: str, cluster_id: str = "cluster") -> Writer:
    """Return a writer that retries forever; the test's time limit ends it."""
    return await open_writer(url, app="test", cluster_id=cluster_id, should_stop=lambda: False)


async def expect_no_rejection(refused: Sequence[RejectedRecord]) -> None:
    """Fail, because all rows of this test are valid."""
    raise AssertionError(f"good rows were refused: {refused}")


async def contents(url: str, model: type[SQLModel]) -> list[dict[str, Any]]:
    """Return a table's rows as dicts, sorted by key."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        with Session(connection) as session:
            return [row.model_dump() for row in session.exec(select(model)).all()]

    rows = await _reading(url, read)
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


async def column(url: str, model: type[SQLModel], name: str) -> list[Any]:
    """Return the values of a column, also of a database that lacks later ones."""
    values = select(table_of(model).columns[name])
    return await _reading(url, lambda connection: list(connection.execute(values).scalars()))


async def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, as returned by the driver."""
    return await _reading(
        url, lambda connection: [tuple(row) for row in connection.exec_driver_sql(statement)]
    )


async def execute(url: str, *statements: str) -> None:
    """Run statements in one transaction."""

    def run(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await _in_transaction(url, run)


async def _reading(url: str, work: Callable[[Connection], T]) -> T:
    """Run a read-only transaction; on SQLite without the write lock."""
    if not url.startswith("sqlite:"):
        return await _in_transaction(url, work)

    def run() -> T:
        engine = sqlite_engine(url, "BEGIN", ())
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    return await asyncio.to_thread(run)


async def _in_transaction(url: str, work: Callable[[Connection], T]) -> T:
    database = open_database(url)
    try:
        return await database.run(work)
    finally:
        await database.close()
