"""The lists of the query API, on both engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from query_api import models, queries
from query_api.lists import ListParameters, slice_of
from query_api.queries import ALERT_KEY, PAGE_KEY, SESSION_KEY
from schemas import sketch
from sinks.paging import Page, Slice
from sinks.sql.engine import Database
from sinks.sql.reader import open_reader
from sinks.sql.tables import AlertRow, PageDurationRow, SessionRow
from sinks.sql.writer import Writer
from tests.contract.sinks.samples import (
    NOON,
    TOPIC,
    alert_at,
    duration_at,
    expect_no_rejection,
    uuid_of,
    visit_at,
)

Items = list[dict[str, Any]]
RESPONSES: dict[tuple[type, ...], TypeAdapter[Any]] = {
    ALERT_KEY: TypeAdapter(models.Page[models.Alert]),
    SESSION_KEY: TypeAdapter(models.Page[models.Visit]),
    PAGE_KEY: TypeAdapter(models.Page[models.PageTime]),
}
MINUTE = 60_000_000
#: PostgreSQL's readers and writers never block each other.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[Database]:
    """Yield a reader of the database."""
    database = open_reader(database_url)
    yield database
    await database.close()


async def test_alerts_are_listed_once_newest_first(writer: Writer, reader: Database) -> None:
    """Although more are raised between two pages; without those of other sites."""
    await _write_alerts(writer, range(5))

    def list_alerts(connection: Connection, wanted: Slice) -> Page:
        return queries.alerts(connection, "shop", wanted, None)

    first = await reader.run(
        lambda c: list_alerts(c, slice_of(ListParameters.model_validate({"limit": "2"}), ALERT_KEY))
    )
    await _write_alerts(writer, range(5, 7))
    rest = await _walk(reader, list_alerts, ALERT_KEY, first.next_cursor)

    titles = [alert["title"] for alert in [*first.items, *rest]]
    assert titles == [f"Payment {number}" for number in range(4, -1, -1)]
    assert list(first.items[0]) == [
        *("alert_id", "site_id", "rule", "subject", "title", "details"),
        *("event_id", "raised_at", "subscription_id", "seq"),
    ]
    assert first.items[0]["raised_at"] == "2026-04-01T12:00:00.000000Z"
    assert first.items[0]["details"] == {"amount": 1}


async def test_alerts_are_filtered_by_rule_and_time(writer: Writer, reader: Database) -> None:
    """`from` is inclusive, `to` exclusive."""
    await _write_alerts(writer, range(2))

    async def count(rule: str | None, **query: str) -> int:
        wanted = slice_of(ListParameters.model_validate(query), ALERT_KEY)
        return len((await reader.run(lambda c: queries.alerts(c, "shop", wanted, rule))).items)

    noon, later = "2026-04-01T12:00:00Z", "2026-04-01T12:00:01Z"
    assert await count("payment") == 2
    assert await count("error.new") == 0
    assert await count("' OR '1'='1") == 0
    assert await count(None, **{"from": noon, "to": later}) == 2
    assert await count(None, to=noon) == await count(None, **{"from": later}) == 0


async def test_alerts_after_a_seq_are_complete(writer: Writer, reader: Database) -> None:
    """Oldest first, up to the newest visible one."""
    assert await reader.run(queries.last_seq) == 0
    await _write_alerts(writer, range(4))
    newest = await reader.run(queries.last_seq)

    def after(seq: int) -> Callable[[Connection], Items]:
        return lambda connection: queries.alerts_after(connection, "shop", seq, newest, 2)

    first = await reader.run(after(0))
    second = await reader.run(after(first[-1]["seq"]))
    titles = [alert["title"] for alert in [*first, *second]]
    assert titles == [f"Payment {number}" for number in range(4)]
    assert await reader.run(after(newest)) == []


async def test_sessions_that_started_together_are_listed_once(
    writer: Writer, reader: Database
) -> None:
    """Newest first, in pages of two."""
    visits = [
        visit_at(number, number, 1, started_at=NOON + number // 3 * MINUTE) for number in range(7)
    ]
    await writer.write(TOPIC, 0, 7, {SessionRow: visits}, expect_no_rejection)

    found = await _walk(reader, lambda c, a: queries.sessions(c, "shop", a, None), SESSION_KEY)

    expected = sorted(((number // 3, uuid_of(number)) for number in range(7)), reverse=True)
    assert [session["visit_id"] for session in found] == [visit_id for _, visit_id in expected]
    assert found[0]["started_at"] == "2026-04-01T12:02:00.000000Z"
    assert found[0]["bounced"] is True
    closed = slice_of(ListParameters.model_validate({}), SESSION_KEY)
    assert (await reader.run(lambda c: queries.sessions(c, "shop", closed, "closed"))).items == []


async def test_pages_are_summed_over_partitions_and_generations(
    writer: Writer, reader: Database
) -> None:
    """Percentiles are those of the merged sketches."""
    rows = [
        _page(0, "/a", [100, 200], partition=0),
        _page(1, "/a", [300], partition=1),
        _page(2, "/a", [1_000], partition=1, generation=9),
        _page(3, "/b", [5]),
        _page(4, "/a", [7], hour=NOON - 60 * MINUTE),
    ]
    await writer.write(TOPIC, 0, 5, {PageDurationRow: rows}, expect_no_rejection)

    found = await _walk(reader, lambda c, a: queries.pages(c, "shop", a), PAGE_KEY)

    assert [(page["hour"][11:13], page["path"]) for page in found] == [
        ("12", "/a"),
        ("12", "/b"),
        ("11", "/a"),
    ]
    assert found[0] == {
        "site_id": "shop",
        "hour": "2026-04-01T12:00:00.000000Z",
        "path": "/a",
        "leaves": 4,
        "total_ms": 1_600,
        "min_ms": 100,
        "max_ms": 1_000,
        "avg_ms": 400.0,
        "p50_ms": pytest.approx(200, rel=0.011),
        "p90_ms": 1_000,
    }


async def test_alerts_of_single_subscriptions_do_not_repeat_a_payment(
    writer: Writer, reader: Database
) -> None:
    """Neither in the list nor in the stream."""
    rows = [alert_at(0, 0), alert_at(1, 1, subscription_id=uuid_of("of large payments"))]
    await writer.write(TOPIC, 0, 2, {AlertRow: rows}, expect_no_rejection)

    listed = await reader.run(
        lambda c: queries.alerts(
            c, "shop", slice_of(ListParameters.model_validate({}), ALERT_KEY), None
        )
    )
    streamed = await reader.run(lambda c: queries.alerts_after(c, "shop", 0, 9, 9))
    assert listed.items == streamed
    assert [alert["title"] for alert in streamed] == ["Payment 0"]


async def test_sites_are_those_with_sessions(writer: Writer, reader: Database) -> None:
    """By name, up to the limit."""
    assert await reader.run(lambda c: queries.sites(c, 10)) == []
    await writer.write(TOPIC, 0, 1, {SessionRow: [visit_at(0, 0, 1)]}, expect_no_rejection)

    assert await reader.run(lambda c: queries.sites(c, 10)) == ["shop"]
    assert await reader.run(lambda c: queries.sites(c, 10, "shop")) == []


@on_sqlite
async def test_sqlite_readers_and_writers_do_not_block_each_other(
    writer: Writer, reader: Database
) -> None:
    """A write commits during a read, which sees its snapshot."""
    await _write_alerts(writer, range(1))
    loop = asyncio.get_running_loop()

    def read(connection: Connection) -> tuple[int, int]:
        before = queries.last_seq(connection)
        asyncio.run_coroutine_threadsafe(_write_alerts(writer, range(1, 3)), loop).result(10)
        return before, queries.last_seq(connection)

    assert await reader.run(read) == (1, 1)
    assert await reader.run(queries.last_seq) == 3


@on_sqlite
async def test_a_reader_of_sqlite_cannot_write(reader: Database) -> None:
    """Writes fail."""
    with pytest.raises(DBAPIError):
        await reader.run(lambda c: c.execute(text("DELETE FROM alerts")))


async def _walk(
    reader: Database,
    list_page: Callable[[Connection, Slice], Page],
    key: tuple[type, ...],
    cursor: str | None = None,
) -> Items:
    found: Items = []
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        wanted = slice_of(ListParameters.model_validate(query), key)
        page = await reader.run(partial(_with, list_page, wanted))
        # The response model accepts the rows of both engines without changes.
        answered = RESPONSES[key].validate_python(page, from_attributes=True)
        assert answered.model_dump() == msgspec.to_builtins(page._asdict())
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == 2


def _with(
    list_page: Callable[[Connection, Slice], Page], wanted: Slice, connection: Connection
) -> Page:
    return list_page(connection, wanted)


async def _write_alerts(writer: Writer, numbers: range) -> None:
    rows = [alert_at(number, number) for number in numbers]
    await writer.write(TOPIC, 0, numbers.stop, {AlertRow: rows}, expect_no_rejection)


def _page(offset: int, path: str, leaves: list[int], **fields: int) -> Any:
    sums = {
        "leaves": len(leaves),
        "total_ms": sum(leaves),
        "min_ms": min(leaves),
        "max_ms": max(leaves),
        "sketch": sketch.add(b"", leaves),
    }
    return duration_at(offset, path, 1, **sums, **fields)
