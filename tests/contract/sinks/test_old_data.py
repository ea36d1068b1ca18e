"""Databases of the first version: migrated, audited and listed."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest

from producer_api.events.derive.steps import DERIVED
from sinks.sql.migrate import check, upgrade
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from tests.contract.sinks import samples
from tests.contract.sinks.audited import Log, Pipeline
from tests.contract.sinks.test_audit import run_audit, to_sentences
from tests.fixtures.migrated import create_migrated
from tests.unit.streams.samples import event, source

#: Amounts; the last three have more digits than a double.
_AMOUNTS = (
    *("0.000000", "49.900000", "-12.500001", "0.000001", "0.100000", "99999999.990000"),
    *("12345678901234567.890000", "9223372036854775807.999999", "1234567890123.123456"),
)
#: Columns that were added to `events` and `sessions` after the second revision.
_LATER_COLUMNS = ("kafka_epoch", *DERIVED)


async def _fill_first_version(url: str, log: Log, tmp_path: Path) -> None:
    """Create a database of the second revision with the results of a log."""
    newest = create_migrated(f"sqlite:///{tmp_path}/newest.db")
    await Pipeline(newest).process(log)
    await samples.migrate_to(url, "0002")
    for model in (EventRow, SessionRow, PageDurationRow, AlertRow):
        rows = await samples.contents(newest, model)
        for row in rows:
            for name in _LATER_COLUMNS:
                row.pop(name, None)
        if rows:
            await samples.insert(url, model, rows)


async def test_amounts_stored_as_doubles_are_restored(empty_url: str, tmp_path: Path) -> None:
    """From the alert's details if a double has too few digits."""
    payments = [
        event(n, type="payment", session_id=f"s-{n}", amount=Decimal(amount), currency="EUR")
        for n, amount in enumerate(_AMOUNTS)
    ]
    free = event("free", type="payment", session_id="s-free")
    log = [(one, source(n)) for n, one in enumerate([*payments, free])]
    await _fill_first_version(empty_url, log, tmp_path)

    upgrade(empty_url)

    stored = {
        row["session_id"]: row["amount"] for row in await samples.contents(empty_url, EventRow)
    }
    assert stored.pop("s-free") is None
    assert {str(amount) for amount in stored.values()} == set(_AMOUNTS)
    assert check(empty_url) == []
    assert to_sentences(await run_audit(empty_url)) == []


async def test_an_amount_without_an_alert_is_the_nearest_decimal(tmp_path: Path) -> None:
    """There is no other source."""
    url = f"sqlite:///{tmp_path}/headrace.db"
    amounts = (Decimal("12.50"), Decimal("12345678901234567.89"))
    log = [(event(n, amount=amount), source(n)) for n, amount in enumerate(amounts)]
    await _fill_first_version(url, log, tmp_path)

    before = await samples.query(url, "SELECT amount FROM events ORDER BY amount")
    await asyncio.to_thread(upgrade, url)

    after = await samples.query(url, "SELECT amount FROM events ORDER BY kafka_offset")
    assert before == [(12.5,), (12345678901234568.0,)]
    assert after == [("12.500000",), ("12345678901234568.000000",)]


async def test_times_that_were_rounded_into_the_year_10000_can_be_read(
    postgres_url: str, tmp_path: Path
) -> None:
    """The first version rounded them on PostgreSQL, and lists failed."""
    database_url = postgres_url
    await _fill_first_version(database_url, [(event("a"), source(0))], tmp_path)
    rounded = "'10000-01-01 00:00:00+00'"
    await samples.execute(
        database_url,
        f"UPDATE events SET event_ts = {rounded}",  # noqa: S608 - our own text
        f"UPDATE sessions SET started_at = {rounded}, ended_at = {rounded}",  # noqa: S608
    )
    [early] = await samples.column(database_url, SessionRow, "ended_at")

    upgrade(database_url)

    [visit] = await samples.contents(database_url, SessionRow)
    assert str(early) == str(visit["ended_at"]) == "9999-12-31 23:59:59.999999+00:00"
    query = "SELECT max(started_at) < '10000-01-01 00:00:00+00' FROM sessions"
    assert await samples.query(database_url, query) == [(True,)]


async def test_events_without_a_path_are_audited_by_their_url(database_url: str) -> None:
    """The first version did not derive a missing path from the URL."""
    made = [
        event("a", path=None, url="https://shop.example/from-url"),
        event("b", path=None, url=None),
        event("c", type="pageleave", duration_ms=5, path=None, url="https://shop.example/from-url"),
        event("d", type="pageleave", duration_ms=7, path=None, url=None),
        event("e", type="pageleave", duration_ms=9, path="/own", url=None),
        event("f", type="pageleave", duration_ms=9, path="", url="https://shop.example"),
    ]
    await Pipeline(database_url).process([(one, source(n)) for n, one in enumerate(made)])
    for gone in ("/from-url", "/", "(none)"):
        await samples.execute(database_url, f"UPDATE events SET path = NULL WHERE path = '{gone}'")  # noqa: S608

    assert to_sentences(await run_audit(database_url)) == []

    await samples.execute(database_url, "DELETE FROM page_durations WHERE path = '(none)'")
    assert [line.split(": ", 1)[1] for line in to_sentences(await run_audit(database_url))] == [
        "shop 2026-04-01T12Z (none): is missing"
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "title", "shown"),
    [
        ("1000", "JPY", "Payment of 1000.00 JPY", "1000.00"),
        ("1.5", "KWD", "Payment of 1.50 KWD", "1.50"),
        ("1234.5", "EUR", "Payment of 1234.50 EUR", "1234.50"),
        ("1234.5", None, "Payment of 1234.50", "1234.50"),
    ],
)
async def test_alerts_in_the_wording_of_the_first_version_are_accepted(
    database_url: str, amount: str, currency: str | None, title: str, shown: str
) -> None:
    """Two decimals for any currency; another amount is a difference."""
    paid = event("p", type="payment", amount=Decimal(amount), currency=currency)
    await Pipeline(database_url).process([(paid, source(0))])
    details = json.dumps({"amount": shown} | ({"currency": currency} if currency else {}))
    change = f"UPDATE alerts SET title = '{title}', details = '{details}'"  # noqa: S608 - our own text
    await samples.execute(database_url, change)

    assert to_sentences(await run_audit(database_url)) == []

    await samples.execute(database_url, change.replace(shown, "7.77"))
    assert len(to_sentences(await run_audit(database_url))) == 1
