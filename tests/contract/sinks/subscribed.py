"""Subscriptions and deliveries in SQL, for all tests of delivery."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from schemas.records import Alert
from sinks.delivery import subscription_store
from sinks.delivery.subscription_spec import SubscriptionSpec
from sinks.rows import alert_row
from sinks.sql.batch import SourcedRow
from sinks.sql.engine import open_database
from sinks.sql.tables import AlertRow, DeliveryRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import NOON, NOON_TIME, expect_no_rejection, uuid_of

ALERTS = "alerts"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"  # noqa: S105 - 24 bytes of a test


async def subscribe(database_url: str, name: str, /, **fields: Any) -> str:
    """Insert the subscription `name`; return its id."""
    given: dict[str, Any] = {
        "site_id": "shop",
        "rule": "payment",
        "params": {},
        "url": "https://hooks.example/x",
        "cooldown_seconds": 0,
        "enabled": True,
    }
    spec = SubscriptionSpec(**{**given, **fields})
    subscription_id = uuid_of(("subscription", name))

    def add(connection: Connection) -> None:
        subscription_store.add(connection, subscription_id, spec, SECRET, NOON_TIME)

    database = open_database(database_url)
    try:
        await database.run(add)
    finally:
        await database.close()
    return subscription_id


def alert(name: object, **fields: Any) -> Alert:
    """Return the alert `name`: by default a payment of `shop` at noon."""
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
    """Write alerts with offsets from `start`."""
    rows: list[SourcedRow] = [(offset, alert_row(one)) for offset, one in enumerate(alerts, start)]
    await writer.write(ALERTS, 0, start + len(rows), {AlertRow: rows}, expect_no_rejection)


async def deliveries(url: str) -> list[dict[str, Any]]:
    """Return all deliveries in the order of `seq`."""
    rows = await samples.contents(url, DeliveryRow)
    return sorted(rows, key=lambda row: _seq(row["body"]["data"]))


def _seq(data: dict[str, Any]) -> int:
    number: int = data["last_seq"] if "last_seq" in data else data["seq"]
    return number


async def delivered_alerts(url: str) -> list[tuple[str, str]]:
    """Return the pairs of subscription and alert that have a delivery."""
    return [(row["subscription_id"], row["alert_id"]) for row in await deliveries(url)]
