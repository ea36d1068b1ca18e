"""Erasure in SQL, on both engines."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from headrace.ops.erase.alerts import erase_alerts, find_alerts
from headrace.ops.erase.selection import (
    FoundSession,
    Selection,
    count_visits,
    find_sessions,
)
from sinks.sql.engine import Database, open_database
from sinks.sql.erasure import Erasure, without_erased
from sinks.sql.tables import (
    AlertRow,
    ErasedHourRow,
    EventRow,
    PageDurationRow,
    SessionRow,
    table_of,
)
from sinks.sql.types import from_micros
from tests.contract.sinks.audited import Log, Pipeline
from tests.contract.sinks.samples import (
    contents,
    event_at,
    execute,
    expect_no_rejection,
    open_for_test,
)
from tests.contract.sinks.test_audit import differences, run_audit, to_sentences
from tests.unit.streams.samples import HOUR, MINUTE, NOON, event, source

_EVENTS, _SESSIONS = table_of(EventRow), table_of(SessionRow)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield the database."""
    database = open_database(database_url)
    yield database
    await database.close()


def _log() -> Log:
    """Return a log of two persons: `ann` in two sessions, one without her id at first; `bob`."""
    fields: list[dict[str, Any]] = [
        {"session_id": "a-1", "visitor_id": "ann"},
        {"session_id": "a-1", "visitor_id": "ann", "type": "pageleave", "duration_ms": 5_000},
        {"session_id": "a-1", "type": "error", "error_message": "x is 1"},
        {"session_id": "a-2"},
        {"session_id": "a-2", "user_id": "u-ann", "type": "payment"},
        {"session_id": "b-1", "visitor_id": "bob"},
        {"session_id": "b-1", "visitor_id": "bob", "type": "pageleave", "duration_ms": 7_000},
        {"session_id": "b-1", "type": "error", "error_message": "x is 1"},
        {"session_id": "b-1", "type": "payment"},
        {"session_id": "a-1", "visitor_id": "ann", "site_id": "other"},
    ]
    return [
        (event(n, event_ts=NOON + n * MINUTE, **one), source(n)) for n, one in enumerate(fields)
    ]


async def _erase(url: str, database: Database, selection: Selection) -> list[FoundSession]:
    """Erase as the command and the sinks do, without Kafka."""
    found = await database.run(partial(find_sessions, selection=selection))
    site = selection.site_id
    sessions = {one.session_id for one in found}
    alerts = await database.run(partial(find_alerts, site_id=site, sessions=sessions))
    await database.run(partial(erase_alerts, site_id=site, alerts=alerts))
    for topic, table in (("raw", _EVENTS), ("visits", _SESSIONS)):
        erasures = [
            Erasure(n, table, site, one.session_id, one.from_ts, one.until_ts)
            for n, one in enumerate(found)
        ]
        writer = await open_for_test(url)
        await writer.assign(topic, 0)
        await writer.write(topic, 0, len(erasures), {}, expect_no_rejection, erasures=erasures)
        await writer.close()
    assert await database.run(partial(count_visits, site_id=site, found=found)) == 0
    return found


async def test_a_person_is_erased_and_the_audit_is_clean(
    database_url: str, database: Database
) -> None:
    """With all events of their sessions; others keep theirs, and anonymous sums stay."""
    await Pipeline(database_url).process(_log())
    durations = await contents(database_url, PageDurationRow)

    found = await _erase(database_url, database, Selection("shop", "ann", "u-ann"))

    assert [(one.session_id, one.events, one.visits) for one in found] == [
        ("a-1", 3, 1),
        ("a-2", 2, 1),
    ]
    events = await contents(database_url, EventRow)
    assert {(row["site_id"], row["session_id"]) for row in events} == {
        ("shop", "b-1"),
        ("other", "a-1"),
    }
    visits = await contents(database_url, SessionRow)
    assert {(row["site_id"], row["session_id"]) for row in visits} == {
        ("shop", "b-1"),
        ("other", "a-1"),
    }
    assert await contents(database_url, PageDurationRow) == durations
    assert len(await contents(database_url, ErasedHourRow)) == 1
    alerts = {row["rule"]: row for row in await contents(database_url, AlertRow)}
    assert alerts["payment"]["subject"] == "b-1"
    assert (alerts["error.new"]["event_id"], alerts["error.new"]["title"]) == (None, "(erased)")
    assert to_sentences(await run_audit(database_url)) == []
    assert await database.run(partial(find_sessions, selection=Selection("shop", "ann"))) == []


async def test_the_audit_still_finds_damage(database_url: str, database: Database) -> None:
    """What was erased excuses nothing else."""
    await Pipeline(database_url).process(_log())
    await _erase(database_url, database, Selection("shop", "ann"))

    await execute(database_url, "UPDATE sessions SET events = 9")

    assert {one.table for one in differences(await run_audit(database_url))} == {"sessions"}


async def test_sessions_that_continue_are_kept(database_url: str, database: Database) -> None:
    """With a time, only sessions that ended before it are erased."""
    log = [
        (event("a", session_id="old", visitor_id="ann"), source(0)),
        (event("b", session_id="new", visitor_id="ann"), source(1)),
        (event("c", session_id="new", event_ts=NOON + 2 * HOUR), source(2)),
    ]
    await Pipeline(database_url).process(log)
    before = from_micros(NOON) + timedelta(hours=1)

    found = await _erase(database_url, database, Selection("shop", "ann", before=before))

    assert [one.session_id for one in found] == ["old"]
    assert to_sentences(await run_audit(database_url)) == []


async def test_an_id_without_trust_erases_nothing_of_others(
    database_url: str, database: Database
) -> None:
    """A stranger's event in a session of which a site key vouches for another visitor."""
    log = [
        (event("a", session_id="paid", visitor_id="customer", trust="key"), source(0)),
        (event("b", session_id="paid", visitor_id="stranger"), source(1)),
        (event("c", session_id="own", visitor_id="stranger"), source(2)),
        (event("d", session_id="own", user_id="u", trust="key"), source(3)),
    ]
    await Pipeline(database_url).process(log)

    for visitor, sessions in (("stranger", ["own"]), ("customer", ["paid"])):
        find = partial(find_sessions, selection=Selection("shop", visitor))
        assert [one.session_id for one in await database.run(find)] == sessions


async def test_an_erasure_is_written_once(database_url: str) -> None:
    """A batch that is written again deletes nothing that came later."""
    writer = await open_for_test(database_url)
    await writer.assign("raw", 0)
    first = event_at(0, session_id="s", event_ts=NOON)
    again = event_at(2, session_id="s", event_ts=NOON)
    erasure = Erasure(1, _EVENTS, "shop", "s", NOON, NOON)
    await writer.write("raw", 0, 1, {EventRow: [first]}, expect_no_rejection)
    for _ in range(2):
        await writer.write(
            "raw", 0, 3, {EventRow: [again]}, expect_no_rejection, erasures=[erasure]
        )
    await writer.write("raw", 0, 2, {}, expect_no_rejection, erasures=[erasure])
    await writer.close()

    assert [row["kafka_offset"] for row in await contents(database_url, EventRow)] == [2]


@pytest.mark.parametrize(("at", "erased"), [(NOON - 1, False), (NOON, True), (NOON + 1, False)])
def test_an_erasure_leaves_events_out_of_its_range(at: int, erased: bool) -> None:
    """In the batch of the erasure; the range is that of the session's stored events."""
    row = event_at(0, session_id="s", event_ts=at)[1]
    erasure = Erasure(1, _EVENTS, row[1], "s", NOON, NOON)

    assert (without_erased(_EVENTS, [(0, row)], [erasure]) == []) == erased
    for other in (erasure._replace(session_id="t"), erasure._replace(offset=0)):
        assert without_erased(_EVENTS, [(0, row)], [other]) == [(0, row)]
