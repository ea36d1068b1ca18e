"""Values that HTTP accepts are stored exactly and can be read, on both engines.

The stored values are compared with the accepted ones, and so both engines with each other.
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache, partial
from itertools import count
from typing import Any

import msgspec
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from headrace.ops.audit.run import audit
from producer_api.events.draft import EventContext
from producer_api.events.import_sites import ImportSites
from producer_api.events.parse import parse
from query_api import lists, queries
from schemas.codec import decode
from schemas.headers import Source
from schemas.records import RawEvent
from schemas.settings import DatabaseSettings, Settings
from sinks.paging import Page, Slice
from sinks.sql.engine import Database
from sinks.sql.reader import open_reader
from sinks.sql.tables import EventRow, SessionRow, table_of
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.audited import Pipeline
from tests.contract.sinks.edges import EPOCH, FIRST, LAST, SITE, Edge, edges, text_of, to_six_places
from tests.contract.sinks.samples import NOON, TOPIC, event_at, expect_no_rejection, visit_at

_ids = count()
_OFFSET = table_of(EventRow).columns.keys().index("kafka_offset")
_CONTEXT = EventContext(
    lambda: NOON, lambda: samples.uuid_of(next(_ids)), ImportSites([SITE], lambda: NOON)
)
_JSON_COLUMNS = ("screen", "vitals", "properties")
#: Events per engine, with about fifteen values each.
_EVENTS = 1_200


@cache
def _drawn() -> Sequence[Edge]:
    """Return the same events for both engines, because a database per example is too slow."""
    drawn: list[Edge] = []

    @settings(max_examples=_EVENTS, database=None, phases=[Phase.generate], deadline=None)
    @seed(0)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        event_id = samples.uuid_of(len(drawn))
        drawn.append(data.draw(edges(event_id.upper() if len(drawn) % 2 else event_id)))

    draw()
    return drawn


async def test_accepted_values_are_stored_exactly(database_url: str) -> None:
    """Through parser, Avro, aggregators, writer, lists and audit."""
    batch = _drawn()
    assert len(batch) > 1_000
    await _check(database_url, batch)


async def _check(url: str, batch: Sequence[Edge]) -> None:
    accepted = [decode(parse(edge.body, _CONTEXT).value, RawEvent) for edge in batch]
    log = [(event, Source(0, n, NOON // 1_000)) for n, event in enumerate(accepted)]
    await Pipeline(url).process(log)

    stored = {row["event_id"]: row for row in await samples.contents(url, EventRow)}
    for edge, event in zip(batch, accepted, strict=True):
        _check_accepted(edge, event)
        _check_row(event, stored[event.event_id])
    assert len(stored) == len(batch)
    await _check_lists(url)
    found = await audit(
        Settings(database=DatabaseSettings(url=url)), 0, lambda _: None, lambda _: None
    )
    assert [one.differences for one in found] == [[], [], []]


def _check_accepted(edge: Edge, event: RawEvent) -> None:
    assert event.event_id == edge.fields["event_id"].lower()
    assert event.event_ts == edge.event_ts
    assert event.duration_ms == edge.fields["duration"]
    if edge.amount is None:
        assert event.amount is None
    else:
        assert event.amount == to_six_places(edge.amount)
    assert repr(event.vitals) == repr(edge.fields["vitals"])


def _check_row(event: RawEvent, row: dict[str, Any]) -> None:
    for name in ("event_ts", "received_at"):
        assert row[name] == EPOCH + timedelta(microseconds=getattr(event, name)), name
    for name in ("session_id", "type", "url", "title", "error_message", "duration_ms", "currency"):
        assert row[name] == getattr(event, name), name
    assert (row["amount"] is None) == (event.amount is None)
    if event.amount is not None:
        # Both engines return the same text: six decimals and no negative zero.
        assert str(row["amount"]) == f"{event.amount:f}"
    for name in _JSON_COLUMNS:
        value = getattr(event, name)
        expected = json.loads(value) if isinstance(value, str) else msgspec.to_builtins(value)
        if isinstance(expected, dict) and name == "screen":
            expected = {key: one for key, one in expected.items() if one is not None}
        assert repr(row[name]) == repr(expected), name


async def _check_lists(url: str) -> None:
    reader = open_reader(url)
    try:
        visits = await _walk(reader, _visits, queries.SESSION_KEY)
        pages = await _walk(reader, _pages, queries.PAGE_KEY)
        alerts = await _walk(reader, _alerts, queries.ALERT_KEY)
    finally:
        await reader.close()
    for items in (visits, pages, alerts):
        assert json.loads(msgspec.json.encode(items)) == items
    assert len(visits) == await _count(url, "sessions")
    assert len(alerts) == await _count(url, "alerts")
    assert sum(page["leaves"] for page in pages) == await _count(
        url, "events WHERE type = 'pageleave' AND duration_ms IS NOT NULL"
    )
    for page in pages:
        assert page["min_ms"] <= page["p50_ms"] <= page["p90_ms"] <= page["max_ms"]


def _visits(connection: Connection, slice_: Slice) -> Page:
    return queries.sessions(connection, SITE, slice_, None)


def _pages(connection: Connection, slice_: Slice) -> Page:
    return queries.pages(connection, SITE, slice_)


def _alerts(connection: Connection, slice_: Slice) -> Page:
    return queries.alerts(connection, SITE, slice_, None)


async def _count(url: str, of: str) -> int:
    [(rows,)] = await samples.query(url, f"SELECT count(*) FROM {of}")  # noqa: S608 - our own names
    return int(rows)


def _at(read: Callable[[Connection, Slice], Page], slice_: Slice, connection: Connection) -> Page:
    return read(connection, slice_)


async def _walk(
    reader: Database, read: Callable[[Connection, Slice], Page], key: Sequence[type]
) -> list[dict[str, Any]]:
    """Read a list in pages of seven."""
    items: list[dict[str, Any]] = []
    query = {"limit": "7"}
    while True:
        slice_ = lists.slice_of(lists.ListParameters.model_validate(query), key)
        page = await reader.run(partial(_at, read, slice_))
        items += page.items
        if page.next_cursor is None:
            return items
        assert page.next_cursor != query.get("cursor"), "the list does not go on"
        query["cursor"] = page.next_cursor


async def test_visits_at_the_first_and_last_time_are_paginated(
    writer: Writer, database_url: str
) -> None:
    """The cursor has that time, and so may the bounds."""
    rows = [
        visit_at(n, n, 1, started_at=at, ended_at=at)
        for n, at in enumerate([FIRST] * 10 + [LAST] * 10)
    ]
    rows = [(n, (row[0], SITE, *row[2:])) for n, row in rows]
    await writer.write(TOPIC, 0, 20, {SessionRow: rows}, expect_no_rejection)
    reader = open_reader(database_url)

    items = await _walk(reader, _visits, queries.SESSION_KEY)
    within = lists.slice_of(
        lists.ListParameters.model_validate({"from": text_of(FIRST + 1), "to": text_of(LAST)}),
        queries.SESSION_KEY,
    )
    last = lists.slice_of(
        lists.ListParameters.model_validate({"from": text_of(LAST)}), queries.SESSION_KEY
    )
    between = await reader.run(partial(_visits, slice_=within))
    latest = await reader.run(partial(_visits, slice_=last))
    await reader.close()

    assert [one["started_at"] for one in items] == (
        ["9999-12-31T23:59:59.999999Z"] * 10 + ["0001-01-01T00:00:00.000000Z"] * 10
    )
    assert (len(between.items), len(latest.items)) == (0, 10)


async def test_an_offset_and_a_number_may_have_64_bits(writer: Writer, database_url: str) -> None:
    """And all other counters."""
    most = 2**63 - 1
    row = event_at(0, duration_ms=most)[1]
    await writer.write(
        TOPIC,
        0,
        1,
        {EventRow: [(0, (*row[:_OFFSET], most, *row[_OFFSET + 1 :]))]},
        expect_no_rejection,
    )

    [stored] = await samples.contents(database_url, EventRow)

    assert (stored["duration_ms"], stored["kafka_offset"]) == (most, most)
