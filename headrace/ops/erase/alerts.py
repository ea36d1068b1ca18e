"""Alerts about erased events.

The alert of a payment is deleted. An alert about errors may also be about errors of others, so it
stays, without the event, its details and its title.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, or_, select, update

from headrace.ops.audit.alert_check import ERASED_DETAILS
from schemas.alert_rules import PAYMENT
from sinks.sql.tables import AlertRow, DeliveryAttemptRow, DeliveryRow, EventRow, table_of

_ALERTS, _EVENTS = table_of(AlertRow), table_of(EventRow)
_DELIVERIES, _ATTEMPTS = table_of(DeliveryRow), table_of(DeliveryAttemptRow)
_TITLE = "(erased)"


class ErasedAlerts(NamedTuple):
    """The numbers of deleted and of anonymised alerts, and of deleted deliveries."""

    deleted: int = 0
    anonymised: int = 0
    deliveries: int = 0


class FoundAlert(NamedTuple):
    """An alert about an event that is to be erased."""

    alert_id: str
    rule: str


def find_alerts(
    connection: Connection, site_id: str, sessions: Collection[str]
) -> list[FoundAlert]:
    """Return the alerts about events of sessions.

    Reads the alerts of the site, and each alert's event by its key: few rows, compared with the
    events of the site.
    """
    of_site = and_(_EVENTS.c.event_id == _ALERTS.c.event_id, _EVENTS.c.site_id == _ALERTS.c.site_id)
    query = (
        select(_ALERTS.c.alert_id, _ALERTS.c.rule, _EVENTS.c.session_id)
        .join_from(_ALERTS, _EVENTS, of_site)
        .where(_ALERTS.c.site_id == site_id)
    )
    rows = connection.execute(query)
    return [FoundAlert(row.alert_id, row.rule) for row in rows if row.session_id in sessions]


def erase_alerts(
    connection: Connection, site_id: str, alerts: Sequence[FoundAlert]
) -> ErasedAlerts:
    """Delete or anonymise alerts, and delete their deliveries."""
    payments = [one.alert_id for one in alerts if one.rule == PAYMENT]
    others = [one.alert_id for one in alerts if one.rule != PAYMENT]
    deliveries = _delete_deliveries(connection, site_id, [*payments, *others])
    connection.execute(delete(_ALERTS).where(_ALERTS.c.alert_id.in_(payments)))
    connection.execute(
        update(_ALERTS)
        .where(_ALERTS.c.alert_id.in_(others))
        .values(event_id=None, details=ERASED_DETAILS, title=_TITLE)
    )
    return ErasedAlerts(len(payments), len(others), deliveries)


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
