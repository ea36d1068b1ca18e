"""Whether an alert is what its rule makes of the event that it names."""

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row

from infra.audit.difference import first_difference, micros
from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from streams.domain import alerts
from streams.domain.fingerprints import fingerprint

#: The columns of `events` that the rules read.
EVENT_COLUMNS = (
    *("event_id", "site_id", "session_id", "type", "event_ts", "received_at", "time_source"),
    *("visitor_id", "user_id", "url", "error_name", "error_message", "error_stack"),
    *("provider", "amount", "currency"),
)
#: When it was raised is the broker's time, which `events` does not hold.
_COMPARED = ("alert_id", "rule", "subject", "title", "details", "event_id")


def event_of(row: Row[Any]) -> RawEvent:
    """Return the event of a row that has `EVENT_COLUMNS`."""
    fields = {name: getattr(row, name) for name in EVENT_COLUMNS}
    fields |= {name: micros(fields[name]) for name in ("event_ts", "received_at")}
    return RawEvent(**fields)


def of(row: Row[Any], events: Sequence[RawEvent]) -> str | None:
    """Say what is wrong with an alert, given the events of its site with the id it names."""
    if not events:
        return f"names the event {row.event_id}, which is not in events"
    told = [_of_one(row, event) for event in events]
    return None if None in told else told[0]


def of_payment(row: Row[Any], event: RawEvent) -> str | None:
    """Say how the alert of a payment differs from what the rule makes of the payment."""
    return _differs(row, alerts.payment(_as_exact(event, row.details), _src(row)))


def _of_one(row: Row[Any], event: RawEvent) -> str | None:
    kind = PAYMENT if row.rule == PAYMENT else "error"
    if event.type != kind:
        return f"names the event {event.event_id}, which is of the type {event.type}, not {kind}"
    if not alerts.is_recent(event):
        return f"names the event {event.event_id}, which was too old to raise any"
    about = event.session_id if kind == PAYMENT else fingerprint(event)
    if row.subscription_id is not None:
        # What the subscription asked for at the time is not known any more.
        subjects = (f"{row.subscription_id}:{about}", f"{row.subscription_id}:*")
        return None if row.subject in subjects else f"subject is {row.subject}, not {subjects[0]}"
    if row.subject != about:
        return f"subject is {row.subject}, not {about}"
    made = _made(row, event)
    return "is of no rule that there is" if made is None else _differs(row, made)


def _made(row: Row[Any], event: RawEvent) -> Alert | None:
    """Return what the rule makes of the event, had it been its turn."""
    if row.rule == PAYMENT:
        return alerts.payment(_as_exact(event, row.details), _src(row))
    if row.rule == ERROR_NEW:
        return alerts.error_new(None, event, row.subject, _src(row)).alert
    if row.rule != ERROR_RATE:
        return None
    rate, src = alerts.every_sites_rate(), _src(row)
    counted = row.details.get("count") if isinstance(row.details, dict) else None
    before = AlertState(
        site_id=event.site_id,
        rule=ERROR_RATE,
        subject=row.subject,
        applied={},
        seen_ms=0,
        window_ms=src.log_ms - src.log_ms % rate.window_ms,
        count=max(counted if isinstance(counted, int) else 0, rate.count) - 1,
    )
    return alerts.error_rate(before, event, row.subject, src, rate).alert


def _differs(row: Row[Any], made: Alert) -> str | None:
    expected = [getattr(made, name) for name in _COMPARED]
    expected[_COMPARED.index("details")] = json.loads(made.details)
    return first_difference(_COMPARED, expected, [getattr(row, name) for name in _COMPARED])


def _src(row: Row[Any]) -> Source:
    return Source(0, 0, micros(row.raised_at) // 1_000)


def _as_exact(event: RawEvent, details: object) -> RawEvent:
    """Return the event with the amount as the alert has it, if it is the same.

    SQLite keeps amounts as doubles; the alert was made of the decimal.
    """
    told = details.get("amount") if isinstance(details, dict) else None
    if event.amount is None or not isinstance(told, str):
        return event
    try:
        amount = Decimal(told)
    except InvalidOperation:
        return event
    return replace(event, amount=amount) if float(amount) == float(event.amount) else event
