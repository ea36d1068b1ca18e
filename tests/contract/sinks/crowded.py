"""A site with many rows in every table, and the number of rows that a query reads."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Table, event, text

from schemas import sketch
from sinks.sql.engine import open_database
from sinks.sql.statements import Row, insert_rows
from sinks.sql.tables import (
    AlertRow,
    DeliveryRow,
    PageDurationRow,
    SessionRow,
    SubscriptionRow,
    TokenRow,
    table_of,
)
from tests.contract.sinks.samples import NOON, alert_at, duration_at, uuid_of, visit_at

#: Rows of each table; nearly all are of the site `shop`, a second apart.
ROWS = 20_000
SECOND = 1_000_000
HOUR = 3_600 * SECOND
#: A page has a row per hour and partition.
PARTITIONS = 4
#: The subscription that has all deliveries.
OWNER = uuid_of("owner")
#: SQLite VM instructions between two calls of the progress handler.
_INSTRUCTIONS = 100

#: Column values, or functions of the row number.
Columns = dict[str, Any]


async def fill(url: str) -> None:
    """Insert the rows and run ANALYZE."""

    def insert(connection: Connection) -> None:
        for table, sample, columns in _tables():
            insert_rows(connection, table, list(_rows(table, sample, columns)))
        if connection.dialect.name == "postgresql":  # autovacuum would; nothing does on SQLite
            connection.execute(text("ANALYZE"))

    database = open_database(url, use_row_types=True)
    try:
        await database.run(insert)
    finally:
        await database.close()


def uuid_at(number: int) -> str:
    """Return a UUID that increases with the number."""
    return f"{number:08x}-0000-7000-8000-000000000000"


def cost(connection: Connection, work: Callable[[Connection], Any]) -> int:
    """Return the rows that `work` reads on PostgreSQL, or its tens of VM instructions on SQLite."""
    if connection.dialect.name == "sqlite":
        return _instructions(connection, work) // 10
    statements = statements_of(connection, work)
    return sum(_rows_read(connection, *statement) for statement in statements)


def statements_of(
    connection: Connection, work: Callable[[Connection], Any]
) -> list[tuple[str, Any]]:
    """Return the statements that `work` executes, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    work(connection)
    event.remove(connection, "before_cursor_execute", note)
    return statements


def _instructions(connection: Connection, work: Callable[[Connection], Any]) -> int:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    calls = []
    driver.set_progress_handler(lambda: calls.append(1), _INSTRUCTIONS)
    work(connection)
    driver.set_progress_handler(None, 0)
    return len(calls) * _INSTRUCTIONS


def _rows_read(connection: Connection, statement: str, parameters: Any) -> int:
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    plan = connection.exec_driver_sql(explain, parameters).scalar_one()
    return sum(
        int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
        for node in _nodes(plan[0]["Plan"])
        if "Relation Name" in node
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _rows(table: Table, sample: Row, columns: Columns) -> Iterator[Row]:
    names = table.columns.keys()
    for number in range(ROWS):
        values = dict(zip(names, sample, strict=False))
        values |= {n: made(number) if callable(made) else made for n, made in columns.items()}
        yield tuple(values[name] for name in names)


def _tables() -> Iterator[tuple[Table, Row, Columns]]:
    sites: Columns = {"site_id": lambda n: "shop" if n % 20 else f"site-{n:05}"}
    yield (
        table_of(SessionRow),
        visit_at(0, 0, 1)[1],
        {
            **sites,
            "visit_id": uuid_at,
            # The second half of the sessions started at the same time.
            "started_at": lambda n: NOON + min(n, ROWS // 2) * SECOND,
            "state": lambda n: "open" if n == 1 else "closed",
        },
    )
    yield (
        table_of(AlertRow),
        alert_at(0, 0)[1],
        {
            "alert_id": uuid_at,
            "seq": lambda n: n + 1,
            "raised_at": lambda n: NOON + n * SECOND,
            "rule": lambda n: "error.new" if n == 1 else "payment",
            "subscription_id": lambda n: None if n % 100 == 1 else OWNER,
        },
    )
    yield (
        table_of(PageDurationRow),
        duration_at(0, "/", 1)[1],
        {
            "hour": lambda n: NOON + n // 400 * HOUR,
            "path_hash": lambda n: n // PARTITIONS * 2_654_435_761 % 2**62,
            "path": lambda n: f"/{n // PARTITIONS % 100}",
            "partition": lambda n: n % PARTITIONS,
            "sketch": lambda _: sketch.add(b"", [100]),
        },
    )
    yield (
        table_of(SubscriptionRow),
        (),
        {
            "subscription_id": uuid_at,
            "site_id": lambda n: f"site-{n // 50:05}",
            "created_at": lambda n: NOON + n * SECOND,
            "rule": "payment",
            "params": "{}",
            "channel_type": "webhook",
            "secret": "",
            "url": "https://x.example/",
            "cooldown_seconds": 0,
            "enabled": True,
            "disabled_reason": None,
            "updated_at": NOON,
        },
    )
    yield (
        table_of(DeliveryRow),
        (),
        {
            "delivery_id": uuid_at,
            "created_at": lambda n: NOON + n * SECOND,
            "subscription_id": OWNER,
            "site_id": "shop",
            "alert_id": OWNER,
            "subject": "s",
            "rule": "payment",
            "raised_at": NOON,
            "body": '{"type": "alert.raised"}',
            "state": "delivered",
            "attempts": 1,
            "step": 1,
            "next_attempt_at": None,
            "delivered_at": NOON,
        },
    )
    yield (
        table_of(TokenRow),
        (),
        {
            "token_id": uuid_at,
            "token_hash": str,
            "name": "",
            "sites": '["shop"]',
            "scope": "read",
            "created_at": lambda n: NOON + n * SECOND,
            "revoked_at": None,
        },
    )
