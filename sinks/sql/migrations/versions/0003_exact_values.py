"""Exact amounts on SQLite, where they were doubles, and no time after the year 9999.

A double keeps 15 digits of an amount, so the shortest text that reads as the same double is what
was paid, for nearly all payments. The others are restored from their alerts, whose details hold
the exact amount; without an alert, the nearest decimal stays.

On PostgreSQL, times of the last microseconds of 9999 were rounded up to the year 10000, which
Python cannot read.
"""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MILLIONTH = Decimal("0.000001")
#: From here on, amounts with six decimals have more than 15 digits.
_INEXACT_FROM = 1e9
_TIMES = (("events", "event_ts"), ("sessions", "started_at"), ("sessions", "ended_at"))


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table, column in _TIMES:
            op.execute(
                f"UPDATE {table} SET {column} = '9999-12-31 23:59:59.999999+00' "  # noqa: S608 - our own names
                f"WHERE {column} >= '10000-01-01 00:00:00+00'"
            )
        return
    op.add_column("events", sa.Column("exact_amount", sa.Text()))
    _convert(connection)
    _restore(connection)
    op.drop_column("events", "amount")
    op.execute("ALTER TABLE events RENAME COLUMN exact_amount TO amount")


def _convert(connection: sa.Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - for the type checker
    driver.create_function("exact_text", 1, _exact_text, deterministic=True)
    op.execute("UPDATE events SET exact_amount = exact_text(amount) WHERE amount IS NOT NULL")


def _restore(connection: sa.Connection) -> None:
    """Set the amounts that a double could not hold to those of their alerts."""
    find = sa.text(
        "SELECT rowid, amount FROM events WHERE event_id = :event_id AND site_id = :site_id"
    )
    change = sa.text("UPDATE events SET exact_amount = :amount WHERE rowid = :row")
    for event_id, site_id, amount in list(_told_amounts(connection)):
        for row, stored in connection.execute(find, {"event_id": event_id, "site_id": site_id}):
            if stored == float(amount):
                connection.execute(change, {"amount": f"{amount:f}", "row": row})


def _told_amounts(connection: sa.Connection) -> Iterator[tuple[str, str, Decimal]]:
    """Yield event, site and amount of the alerts of large payments."""
    alerts = connection.execute(
        sa.text(
            "SELECT event_id, site_id, details FROM alerts WHERE rule = 'payment' "
            "AND event_id IS NOT NULL AND subscription_id IS NULL "
            "AND abs(CAST(json_extract(details, '$.amount') AS REAL)) >= :least"
        ),
        {"least": _INEXACT_FROM},
    )
    for event_id, site_id, details in alerts:
        try:
            amount = Decimal(json.loads(details)["amount"])
            yield event_id, site_id, amount.quantize(_MILLIONTH)
        except (InvalidOperation, TypeError):
            continue  # not an amount that headrace wrote


def _exact_text(amount: float) -> str:
    # repr() is the shortest text that reads as the same double.
    return f"{Decimal(repr(amount)).quantize(_MILLIONTH):f}"
