"""Subscriptions in SQL, and what is on its way to them, for all tests of deliveries."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from schemas.records import Alert
from sinks.rows import alert_row
from sinks.sql.batch import SourcedRow
from sinks.sql.engine import open_database
from sinks.sql.tables import AlertRow, DeliveryRow
from sinks.sql.writer import Writer
from sinks.webhooks import records
from sinks.webhooks.asked import SubscriptionSpec
from tests.contract.sinks import samples
from tests.contract.sinks.samples import NOON, NOON_TIME, refuse_nothing, uuid_of

ALERTS = "alerts"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"  # noqa: S105 - 24 bytes of a test


async def subscribe(database_url: str, name: str, /, **fields: Any) -> str:
    """Insert a subscription called `name`; returns its id."""
    given: dict[str, Any] = {
        "site_id": "shop",
        "rule": "payment",
        "params": {},
        "url": "https://hooks.example/x",
        "cooldown_seconds": 0,
        "enabled": True,
    }
    asked = SubscriptionSpec(**{**given, **fields})
    subscription_id = uuid_of(("subscription", name))

    def add(connection: Connection) -> None:
        records.add(connection, subscription_id, asked, SECRET, NOON_TIME)

    database = open_database(database_url)
    try:
        await database.run(add)
    finally:
        await database.close()
    return subscription_id


def alert(name: object, **fields: Any) -> Alert:
    """Return the alert called `name`: a payment of `shop` at noon unless said otherwise."""
    given: dict[str, Any] = {
        "alert_id": uuid_of(name),
        "site_id": "shop",
        "rule": "payment",
        "subject": "s-1",
        "title": f"Payment {name}",
        "details": '{"amount": "1.00"}',
        "event_id": uuid_of(("event", name)),
        "raised_at": NOON,
    }
    return Alert(**{**given, **fields})


async def store(writer: Writer, start: int, alerts: Sequence[Alert]) -> None:
    """Write alerts that stand from offset `start` on."""
    rows: list[SourcedRow] = [(offset, alert_row(one)) for offset, one in enumerate(alerts, start)]
    await writer.write(ALERTS, 0, start + len(rows), {AlertRow: rows}, refuse_nothing)


async def deliveries(url: str) -> list[dict[str, Any]]:
    """Return all deliveries in the order of their alerts' numbers."""
    rows = await samples.contents(url, DeliveryRow)
    return sorted(rows, key=lambda row: _seq(row["body"]["data"]))


def _seq(data: dict[str, Any]) -> int:
    number: int = data["last_seq"] if "last_seq" in data else data["seq"]
    return number


async def told(url: str) -> list[tuple[str, str]]:
    """Return who is told of what: subscription and alert."""
    return [(row["subscription_id"], row["alert_id"]) for row in await deliveries(url)]
