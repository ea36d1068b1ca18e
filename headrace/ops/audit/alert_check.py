"""Check an alert against the event that it refers to."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row

from headrace.ops.audit.findings import difference
from headrace.ops.audit.legacy_alerts import is_legacy, legacy_details, legacy_fingerprint
from schemas import money
from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from sinks.sql.types import micros
from streams.domain.alerts import error_rates, new_errors
from streams.domain.alerts.alert import LINK, is_recent
from streams.domain.alerts.fingerprints import fingerprint
from streams.domain.alerts.new_errors import DIGEST, MAX_UNSEEN
from streams.domain.alerts.payments import payment_alert

#: The columns of `events` that alert rules read.
EVENT_COLUMNS = (
    *("event_id", "site_id", "session_id", "type", "event_ts", "received_at", "time_source"),
    *("visitor_id", "user_id", "url", "path", "error_name", "error_message", "error_stack"),
    *("provider", "amount", "currency", "trust", "excluded"),
)
#: The details of an alert whose event was erased.
ERASED_DETAILS: dict[str, Any] = {"erased": True}
#: Not `raised_at`, which is a log append time and not in `events`.
_COMPARED = ("alert_id", "rule", "subject", "title", "details", "event_id")


def to_event(row: Row[Any]) -> RawEvent:
    """Convert a row with `EVENT_COLUMNS` to an event."""
    fields = {name: getattr(row, name) for name in EVENT_COLUMNS}
    fields |= {name: micros(fields[name]) for name in ("event_ts", "received_at")}
    return RawEvent(**fields)


def is_erased(row: Row[Any]) -> bool:
    """Return True for an alert whose event was erased."""
    return row.event_id is None and row.details == ERASED_DETAILS


def hours_around(at_us: int) -> tuple[int, int, int]:
    """Return the hours by the broker's clock in which a time by a server's clock can fall."""
    hour = at_us // 3_600_000_000
    return hour - 1, hour, hour + 1


def check(row: Row[Any], events: Sequence[RawEvent]) -> str | None:
    """Return what is wrong with an alert, or None. `events` are the events with its event id."""
    if not events:
        return f"refers to the event {row.event_id}, which is not in events"
    differences = [_check_event(row, event) for event in events]
    return None if None in differences else differences[0]


def check_payment(row: Row[Any], event: RawEvent) -> str | None:
    """Return how the alert of a payment differs from the one that the rule raises, or None."""
    expected = payment_alert(event, _src(row))
    problem = _difference(row, expected)
    return problem and _difference(row, _as_of_version_0_1(expected, event)) and problem


def _check_event(row: Row[Any], event: RawEvent) -> str | None:
    kind = PAYMENT if row.rule == PAYMENT else "error"
    if event.type != kind:
        return f"refers to the event {event.event_id}, whose type is {event.type}, not {kind}"
    if problem := _why_not_raised(event):
        return f"refers to the event {event.event_id}, which {problem}"
    subjects = [event.session_id] if kind == PAYMENT else [fingerprint(event)]
    if kind != PAYMENT and is_legacy(row.details):
        subjects.append(legacy_fingerprint(event))
    if row.subscription_id is not None:
        subjects = [f"{row.subscription_id}:{subject}" for subject in (*subjects, "*")]
    if row.rule == ERROR_NEW and row.subject == DIGEST:
        subjects = [DIGEST]
    if row.subject not in subjects:
        return f"subject is {row.subject}, not {subjects[0]}"
    if row.subscription_id is not None:
        return None  # the subscription's parameters may have changed since
    if row.rule == PAYMENT:
        return check_payment(row, event)
    expected = _expected(row, event)
    return "has an unknown rule" if expected is None else _difference(row, expected)


def _why_not_raised(event: RawEvent) -> str | None:
    """Return why no event like this one raises alerts, or None."""
    if event.excluded is not None:
        return f"is excluded ({event.excluded})"
    return None if is_recent(event) else "was too old to raise an alert"


def _expected(row: Row[Any], event: RawEvent) -> Alert | None:
    """Return the alert that the rule raises if the event exceeds its limits."""
    if row.rule == ERROR_NEW and row.subject == DIGEST:
        return _expected_digest(row)
    if row.rule == ERROR_NEW:
        return new_errors.apply(None, event, row.subject, _src(row)).alert
    if row.rule != ERROR_RATE:
        return None
    rate, src = error_rates.every_sites_rate(), _src(row)
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
    return error_rates.apply(before, event, row.subject, src, rate).alert


def _expected_digest(row: Row[Any]) -> Alert:
    """Return the digest of an hour with the same number of errors, whose order is not known."""
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
    return new_errors.digest(hour)[1]


def _difference(row: Row[Any], alert: Alert) -> str | None:
    expected = {name: getattr(alert, name) for name in _COMPARED}
    expected["details"] = json.loads(alert.details)
    found = {name: getattr(row, name) for name in _COMPARED}
    if is_legacy(row.details):
        expected["details"] = legacy_details(expected["details"], row.rule)
        if row.rule == ERROR_RATE:
            expected["alert_id"] = row.alert_id  # depends on the window, by the broker's clock
    elif isinstance(row.details, dict):
        # The address of the dashboard may have changed since.
        found["details"] = {name: row.details[name] for name in row.details if name != LINK}
        if "trust" not in row.details:  # raised by an earlier version
            expected["details"].pop("trust", None)
    return difference(_COMPARED, expected, found)


def _src(row: Row[Any]) -> Source:
    return Source(0, 0, micros(row.raised_at) // 1_000)


def _as_of_version_0_1(expected: Alert, event: RawEvent) -> Alert:
    """Return the alert of a payment as version 0.1 raised it: two decimals for any currency."""
    if event.amount is None:
        return expected
    amount = money.format_decimal(event.amount, None)
    paid = f"{amount} {event.currency}" if event.currency else amount
    details = json.dumps({**json.loads(expected.details), "amount": amount})
    return replace(expected, title=f"Payment of {paid}", details=details)
