"""Alerts about erased events.

The alert of a payment is deleted. An alert about errors may also be about errors of others, so it
stays, without the event, its details and its title.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, or_, select, update

from headrace.ops.audit.alert_check import ERASED_DETAILS
from schemas.alert_rules import PAYMENT
from schemas.batched import batched
from sinks.sql.tables import AlertRow, DeliveryAttemptRow, DeliveryRow, table_of

_ALERTS, _DELIVERIES = table_of(AlertRow), table_of(DeliveryRow)
_ATTEMPTS = table_of(DeliveryAttemptRow)
_TITLE = "(erased)"
#: Values per `IN`.
_IN_SIZE = 500


class ErasedAlerts(NamedTuple):
    """The numbers of deleted and of anonymised alerts, and of deleted deliveries."""

    deleted: int = 0
    anonymised: int = 0
    deliveries: int = 0


def erase_alerts(connection: Connection, site_id: str, event_ids: Iterable[str]) -> ErasedAlerts:
    """Delete or anonymise the alerts that name these events, and delete their deliveries."""
    total = ErasedAlerts()
    for batch in batched(event_ids, _IN_SIZE):
        named = and_(_ALERTS.c.site_id == site_id, _ALERTS.c.event_id.in_(batch))
        found = connection.execute(select(_ALERTS.c.alert_id, _ALERTS.c.rule).where(named)).all()
        ids = [row.alert_id for row in found]
        payments = [row.alert_id for row in found if row.rule == PAYMENT]
        others = [row.alert_id for row in found if row.rule != PAYMENT]
        deliveries = _delete_deliveries(connection, site_id, ids)
        connection.execute(delete(_ALERTS).where(_ALERTS.c.alert_id.in_(payments)))
        connection.execute(
            update(_ALERTS)
            .where(_ALERTS.c.alert_id.in_(others))
            .values(event_id=None, details=ERASED_DETAILS, title=_TITLE)
        )
        total = ErasedAlerts(
            total.deleted + len(payments),
            total.anonymised + len(others),
            total.deliveries + deliveries,
        )
    return total


def _delete_deliveries(connection: Connection, site_id: str, alert_ids: list[str]) -> int:
    """Delete the deliveries of alerts, and finished digests of the site, which may list them."""
    if not alert_ids:
        return 0
    about = or_(
        _DELIVERIES.c.alert_id.in_(alert_ids),
        and_(_DELIVERIES.c.alert_id.is_(None), _DELIVERIES.c.state != "pending"),
    )
    query = select(_DELIVERIES.c.delivery_id).where(_DELIVERIES.c.site_id == site_id, about)
    ids = list(connection.execute(query).scalars())
    for table in (_ATTEMPTS, _DELIVERIES):
        connection.execute(delete(table).where(table.c.delivery_id.in_(ids)))
    return len(ids)
