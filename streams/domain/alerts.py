"""When someone should know: the alert rules, on for every site, and as subscriptions want them.

Alert ids are made of rule, subject and event or window, so a replay raises none twice. Each
rule is a step `(state, event, src) -> (state, alert or None)`; a state says for each source
partition how far it got, since a site's events come from all of them (design D6).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas import alert_rules
from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_US = 24 * 3_600_000_000

#: An error that was not seen for so long is new.
NEW_AFTER_MS = 30 * 24 * _HOUR_MS
#: Alerts for new errors, a site and hour; a broken release has thousands of them.
MAX_NEW_AN_HOUR = 20

#: So many errors of one fingerprint in one window are an alert, ...
RATE_COUNT = alert_rules.RATE_COUNT
RATE_WINDOW_MS = alert_rules.RATE_MINUTES * _MINUTE_MS
#: ... but not again so soon.
RATE_PAUSE_MS = 30 * _MINUTE_MS

_ALERTS = UUID("a3c2b6de-6a1b-5b8f-8d52-7c1f2b9e4d03")
_MAX_TITLE_CHARACTERS = 200

_JSON = json.JSONEncoder(ensure_ascii=False)


class _Occasion(NamedTuple):
    """What an alert is about; `name` tells it from others of its rule and subject."""

    rule: str
    subject: str
    name: str
    title: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rate:
    """How many errors in which time are too many, and after which pause again.

    `whose` is the subscription that wants it so.
    """

    count: int
    window_ms: int
    pause_ms: int = 0
    whose: str | None = None


class Step(NamedTuple):
    """What a rule leads to."""

    state: AlertState
    alert: Alert | None = None


def is_recent(event: RawEvent) -> bool:
    """Tell whether an event may raise alerts; an import's old ones may not."""
    return event.received_at - event.event_ts <= _DAY_US


def payment(
    event: RawEvent, src: Source, subject: str | None = None, whose: str | None = None
) -> Alert:
    """Return the alert of a payment: each one raises it. Its subject is the session by itself."""
    details = {
        "amount": _plain(event.amount),
        "currency": event.currency,
        "provider": event.provider,
        "user_id": event.user_id,
        "visitor_id": event.visitor_id,
    }
    paid = " ".join(filter(None, (_plain(event.amount), event.currency)))
    title = f"Payment of {paid}" if paid else "Payment"
    about = event.session_id if subject is None else subject
    return _alert(event, src, _Occasion(PAYMENT, about, event.event_id, title, details), whose)


def error_is_new(known: AlertState | None, src: Source) -> bool:
    """Tell whether an error is new to its site, given what is known of its fingerprint."""
    return known is None or src.log_ms - known.seen_ms > NEW_AFTER_MS


def error_seen(known: AlertState | None, event: RawEvent, subject: str, src: Source) -> AlertState:
    """Return the state of a fingerprint after this error."""
    return _applied(known or _state(event, ERROR_NEW, subject), src)


def error_new(quota: AlertState | None, event: RawEvent, subject: str, src: Source) -> Step:
    """Raise an alert for a new error, unless the site had its share of them this hour."""
    hour = src.log_ms - src.log_ms % _HOUR_MS
    quota = _in_window(quota or _state(event, ERROR_NEW, ""), hour)
    if _was_applied(quota, src):  # the alert was sent before this state was written
        return Step(quota)
    if quota.count >= MAX_NEW_AN_HOUR:
        return Step(_applied(quota, src))
    counted = replace(_applied(quota, src), count=quota.count + 1)
    return Step(counted, _new_alert(event, subject, src))


def every_sites_rate() -> Rate:
    """Return the rate that is on for every site."""
    return Rate(RATE_COUNT, RATE_WINDOW_MS, RATE_PAUSE_MS)


def error_rate(
    state: AlertState | None, event: RawEvent, subject: str, src: Source, rate: Rate
) -> Step:
    """Count an error in its window; raise an alert when it is the one too many."""
    state = state or _state(event, ERROR_RATE, subject)
    if _was_applied(state, src):
        return Step(state)
    window = src.log_ms - src.log_ms % rate.window_ms
    state = _applied(_in_window(state, window), src)
    if window < state.window_ms:  # another partition is ahead
        return Step(state)
    state = replace(state, count=state.count + 1)
    if state.count < rate.count or not _may_raise(state, src, rate.pause_ms):
        return Step(state)
    return Step(replace(state, raised_ms=src.log_ms), _rate_alert(state, event, src, rate))


def _may_raise(state: AlertState, src: Source, pause_ms: int) -> bool:
    """Tell whether there was no alert yet in this window, nor since the pause began."""
    if state.raised_ms is None:
        return True
    return state.raised_ms < state.window_ms and src.log_ms - state.raised_ms >= pause_ms


def _new_alert(event: RawEvent, subject: str, src: Source) -> Alert:
    title = f"New error: {_name_of(event)}"
    details = _error_details(event)
    return _alert(event, src, _Occasion(ERROR_NEW, subject, event.event_id, title, details))


def _rate_alert(state: AlertState, event: RawEvent, src: Source, rate: Rate) -> Alert:
    minutes = rate.window_ms // _MINUTE_MS
    title = f"{_many(state.count, 'error')} in {_many(minutes, 'minute')}: {_name_of(event)}"
    details = {**_error_details(event), "count": state.count, "minutes": minutes}
    window = str(state.window_ms)
    occasion = _Occasion(ERROR_RATE, state.subject, window, title, details)
    return _alert(event, src, occasion, rate.whose)


def _error_details(event: RawEvent) -> dict[str, object]:
    return {
        "error_name": event.error_name,
        "error_message": event.error_message,
        "error_stack": event.error_stack,
        "url": event.url,
    }


def _name_of(event: RawEvent) -> str:
    return ": ".join(filter(None, (event.error_name, event.error_message))) or "without a name"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _plain(amount: Decimal | None) -> str | None:
    """Return an amount as people write it: at least two decimals, no idle zeros behind."""
    if amount is None:
        return None
    text = f"{amount:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _alert(event: RawEvent, src: Source, occasion: _Occasion, whose: str | None = None) -> Alert:
    rule, subject, name, title, details = occasion
    told = {field: value for field, value in details.items() if value is not None}
    return Alert(
        alert_id=str(uuid5(_ALERTS, f"{event.site_id}:{rule}:{subject}:{name}")),
        site_id=event.site_id,
        rule=rule,
        subject=subject,
        title=" ".join(title.split())[:_MAX_TITLE_CHARACTERS],
        details=_JSON.encode(told),
        event_id=event.event_id,
        raised_at=src.log_ms * 1_000,
        subscription_id=whose,
    )


def _state(event: RawEvent, rule: str, subject: str) -> AlertState:
    return AlertState(site_id=event.site_id, rule=rule, subject=subject, applied={}, seen_ms=0)


def _was_applied(state: AlertState, src: Source) -> bool:
    return state.applied.get(str(src.partition), -1) >= src.offset


def _applied(state: AlertState, src: Source) -> AlertState:
    partition = str(src.partition)
    offset = max(src.offset, state.applied.get(partition, -1))
    return replace(
        state,
        applied=state.applied | {partition: offset},
        seen_ms=max(state.seen_ms, src.log_ms),
    )


def _in_window(state: AlertState, window_ms: int) -> AlertState:
    return state if window_ms <= state.window_ms else replace(state, window_ms=window_ms, count=0)
