"""Erasures are applied to a database that was restored from a backup, on both engines."""

from functools import partial
from typing import Any

import pytest

from headrace.admin.database import run_once
from headrace.ops.erase.again import erase_again
from headrace.ops.erase.erasures import session_erasure, site_erasure
from schemas.records import BlockedId
from schemas.settings import DatabaseSettings
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from tests.contract.sinks.audited import Pipeline
from tests.contract.sinks.samples import contents, execute
from tests.contract.sinks.test_audit import run_audit, to_sentences
from tests.unit.streams.samples import HOUR, MINUTE, NOON, event, source

_TABLES = (EventRow, SessionRow, AlertRow, PageDurationRow)


async def _store(url: str, *received: int) -> None:
    """Store events of two sessions, `ann` and `bob`, at each time, on two sites."""
    fields: list[dict[str, Any]] = [
        {"site_id": site, "session_id": session, "type": kind, "event_ts": at, "received_at": at}
        for at in received
        for site in ("shop", "blog")
        for session in ("ann", "bob")
        for kind in ("pageview", "pageleave", "payment")
    ]
    log = [
        (event(n, duration_ms=5, **one), source(n, one["received_at"] // 1_000))
        for n, one in enumerate(fields)
    ]
    await Pipeline(url).process(log)


async def _erase(url: str, *erasures: BlockedId) -> int:
    return await run_once(DatabaseSettings(url=url), partial(erase_again, erasures=erasures))


async def _sessions(url: str) -> set[tuple[str, str]]:
    """Return the sites and sessions of all tables, which must agree."""
    rows = {
        model: {(row["site_id"], row["session_id"]) for row in await contents(url, model)}
        for model in (EventRow, SessionRow)
    }
    alerts = {(row["site_id"], row["subject"]) for row in await contents(url, AlertRow)}
    assert rows[EventRow] == rows[SessionRow] == alerts
    return alerts


@pytest.fixture
async def url(database_url: str) -> str:
    """Return the URL of a database with events of noon, and of two hours later."""
    await _store(database_url, NOON, NOON + 2 * HOUR)
    return database_url


async def test_an_erased_session_is_erased_again(url: str) -> None:
    """With its visits and alerts; not the same session of another site. The audit is clean."""
    erasure = session_erasure("shop", "ann", NOON + 3 * HOUR)

    assert await _erase(url, erasure) == 1
    assert await _erase(url, erasure) == 0

    assert await _sessions(url) == {("shop", "bob"), ("blog", "ann"), ("blog", "bob")}
    assert to_sentences(await run_audit(url)) == []


async def test_what_came_after_the_erasure_stays(url: str) -> None:
    """A backup may be later than the erasure: the person's new events are new."""
    assert await _erase(url, session_erasure("shop", "ann", NOON + HOUR)) == 1

    of_ann = [
        row["event_ts"]
        for row in await contents(url, EventRow)
        if (row["site_id"], row["session_id"]) == ("shop", "ann")
    ]
    assert len(of_ann) == 3
    assert len(set(of_ann)) == 1
    assert await _erase(url, session_erasure("shop", "ann", NOON - 1)) == 0
    assert to_sentences(await run_audit(url)) == []


async def test_a_visit_without_events_is_erased(url: str) -> None:
    """The backup was made while the events were erased, and the visits not yet."""
    await execute(url, "DELETE FROM events WHERE site_id = 'shop' AND session_id = 'ann'")
    await execute(url, "DELETE FROM alerts WHERE site_id = 'shop' AND subject = 'ann'")

    await _erase(url, session_erasure("shop", "ann", NOON + 3 * HOUR))

    assert await _sessions(url) == {("shop", "bob"), ("blog", "ann"), ("blog", "bob")}


async def test_an_erased_site_is_erased_again(url: str) -> None:
    """Everything of it, also anonymous sums and alerts about errors."""
    assert await _erase(url, site_erasure("shop", NOON + 3 * HOUR)) == 1

    for model in _TABLES:
        rows = await contents(url, model)
        assert {row["site_id"] for row in rows} == {"blog"}, model


async def test_a_site_keeps_what_came_after_its_erasure(url: str) -> None:
    """It was registered again."""
    assert await _erase(url, site_erasure("shop", NOON + HOUR + MINUTE)) == 1

    assert ("shop", "ann") in await _sessions(url)
    for model in (EventRow, SessionRow, AlertRow):
        sites = [row["site_id"] for row in await contents(url, model)]
        assert sites.count("shop") * 2 == sites.count("blog"), model
