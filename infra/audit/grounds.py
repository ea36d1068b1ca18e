"""Whether an alert is what its rule makes of the event that it names."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row

from infra.audit.difference import difference
from infra.audit.former import former_details, former_fingerprint, is_former
from schemas import money
from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from sinks.sql.types import micros
from streams.domain import alerts
from streams.domain.alerts import DIGEST, MAX_UNSEEN
from streams.domain.fingerprints import fingerprint

#: The columns of `events` that the rules read.
EVENT_COLUMNS = (
    *("event_id", "site_id", "session_id", "type", "event_ts", "received_at", "time_source"),
    *("visitor_id", "user_id", "url", "path", "error_name", "error_message", "error_stack"),
    *("provider", "amount", "currency"),
)
#: When it was raised is the broker's time, which `events` does not hold.
_COMPARED = ("alert_id", "rule", "subject", "title", "details", "event_id")


def event_of(row: Row[Any]) -> RawEvent:
    """Return the event of a row that has `EVENT_COLUMNS`."""
    fields = {name: getattr(row, name) for name in EVENT_COLUMNS}
    fields |= {name: micros(fields[name]) for name in ("event_ts", "received_at")}
    return RawEvent(**fields)


def hours_near(at: int) -> tuple[int, int, int]:
    """Return the hours that a time by a server's clock (microseconds) can be of by the broker's."""
    hour = at // 3_600_000_000
    return hour - 1, hour, hour + 1


def of(row: Row[Any], events: Sequence[RawEvent]) -> str | None:
    """Say what is wrong with an alert, given the events of its site with the id it names."""
    if not events:
        return f"names the event {row.event_id}, which is not in events"
    differences = [_of_one(row, event) for event in events]
    return None if None in differences else differences[0]


def of_payment(row: Row[Any], event: RawEvent) -> str | None:
    """Say how the alert of a payment differs from what the rule makes of the payment."""
    made = alerts.payment(event, _src(row))
    what = _differs(row, made)
    return what and _differs(row, _as_first_written(made, event)) and what


def _of_one(row: Row[Any], event: RawEvent) -> str | None:
    kind = PAYMENT if row.rule == PAYMENT else "error"
    if event.type != kind:
        return f"names the event {event.event_id}, which is of the type {event.type}, not {kind}"
    if not alerts.is_recent(event):
        return f"names the event {event.event_id}, which was too old to raise any"
    abouts = [event.session_id] if kind == PAYMENT else [fingerprint(event)]
    if kind != PAYMENT and is_former(row.details):
        abouts.append(former_fingerprint(event))
    subjects = abouts
    if row.subscription_id is not None:
        subjects = [f"{row.subscription_id}:{about}" for about in (*abouts, "*")]
    if row.rule == ERROR_NEW and row.subject == DIGEST:
        subjects = [DIGEST]
    if row.subject not in subjects:
        return f"subject is {row.subject}, not {subjects[0]}"
    if row.subscription_id is not None:
        return None  # the subscription's parameters of that time are not known
    if row.rule == PAYMENT:
        return of_payment(row, event)
    made = _made(row, event)
    return "is of no rule that there is" if made is None else _differs(row, made)


def _made(row: Row[Any], event: RawEvent) -> Alert | None:
    """Return what the rule makes of the event, had it been its turn."""
    if row.rule == ERROR_NEW and row.subject == DIGEST:
        return _digest(row)
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
        slot_ms=[src.log_ms],
        slot_counts=[max(counted if isinstance(counted, int) else 0, rate.count) - 1],
    )
    return alerts.error_rate(before, event, row.subject, src, rate).alert


def _digest(row: Row[Any]) -> Alert:
    """Return the digest of an hour with as many errors; which came too late, order decides."""
    details = row.details if isinstance(row.details, dict) else {}
    count, titles = details.get("count"), details.get("errors")
    counted = min(max(count, 1), MAX_UNSEEN) if isinstance(count, int) else 1
    hour = AlertState(
        site_id=row.site_id,
        rule=ERROR_NEW,
        subject="",
        applied={},
        seen_ms=0,
        window_ms=_src(row).log_ms - 3_600_000,
        unseen=[""] * counted,
        unseen_event_id=row.event_id,
        unseen_titles=titles if isinstance(titles, list) else [],
    )
    return alerts.digest(hour)[1]


def _differs(row: Row[Any], made: Alert) -> str | None:
    expected = {name: getattr(made, name) for name in _COMPARED}
    expected["details"] = json.loads(made.details)
    found = {name: getattr(row, name) for name in _COMPARED}
    if is_former(row.details):
        expected["details"] = former_details(expected["details"], row.rule)
        if row.rule == ERROR_RATE:
            expected["alert_id"] = row.alert_id  # of the window, which events do not decide
    elif isinstance(row.details, dict):
        # The address of the dashboard at that time is not known.
        found["details"] = {name: row.details[name] for name in row.details if name != alerts.LINK}
    return difference(_COMPARED, expected, found)


def _src(row: Row[Any]) -> Source:
    return Source(0, 0, micros(row.raised_at) // 1_000)


def _as_first_written(made: Alert, event: RawEvent) -> Alert:
    """Return a payment's alert as version 0.1 wrote it: two decimals, whatever the currency."""
    if event.amount is None:
        return made
    amount = money.format_decimal(event.amount, None)
    paid = f"{amount} {event.currency}" if event.currency else amount
    details = json.dumps({**json.loads(made.details), "amount": amount})
    return replace(made, title=f"Payment of {paid}", details=details)
