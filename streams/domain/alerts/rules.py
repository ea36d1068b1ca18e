"""Alert rules, of every site and of subscriptions with their own parameters.

Alert ids are derived from rule, subject and event, so that a replay raises no alert twice. A rule
is a function `(state, event, src) -> (state, alert or None)`. A state contains the last applied
offset of each source partition, because the events of a site come from all of them (design D6).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas import alert_rules, money
from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.paths import NO_PATH, path_of
from schemas.records import Alert, AlertState, RawEvent
from streams.domain.alerts.sliding_count import SlidingCount, slot_size_of

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_US = 24 * 3_600_000_000

#: An error that did not occur for this time is new.
NEW_AFTER_MS = 30 * 24 * _HOUR_MS
#: Limit of alerts for new errors per site and hour, because a broken release has thousands. Further
#: errors remain unseen, and are counted in a digest of the hour.
MAX_NEW_PER_HOUR = 20
#: Limits of the errors that a digest counts, and that it names.
MAX_UNSEEN = 500
MAX_EXAMPLES = 10
#: Delay of a digest after the end of its hour, because partitions progress at different speeds.
DIGEST_AFTER_MS = 5 * _MINUTE_MS
#: The subject of digests; not a fingerprint, which is hexadecimal.
DIGEST = "more"

#: The threshold and window of `error.rate` for one fingerprint ...
RATE_COUNT = alert_rules.RATE_COUNT
RATE_WINDOW_MS = alert_rules.RATE_MINUTES * _MINUTE_MS
#: ... and the pause until the next alert.
RATE_PAUSE_MS = 30 * _MINUTE_MS

#: The fields of the event in the details of each alert.
_WHERE = ("site_id", "session_id", "visitor_id", "user_id", "url", "trust")
#: The field of the details with the link to the dashboard.
LINK = "dashboard_url"

_ALERTS = UUID("a3c2b6de-6a1b-5b8f-8d52-7c1f2b9e4d03")
_MAX_TITLE_CHARACTERS = 200

_JSON = json.JSONEncoder(ensure_ascii=False)


class _Occasion(NamedTuple):
    """The content of an alert; `name` distinguishes alerts of the same rule and subject."""

    rule: str
    subject: str
    name: str
    title: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rate:
    """The threshold, window and pause of an error rate.

    `subscription_id` is the subscription that defines it; None for the rule of every site.
    """

    count: int
    window_ms: int
    pause_ms: int = 0
    subscription_id: str | None = None


class Step(NamedTuple):
    """The result of a rule."""

    state: AlertState
    alert: Alert | None = None


def is_recent(event: RawEvent) -> bool:
    """Return True if an event may raise alerts; old events of an import do not."""
    return event.received_at - event.event_ts <= _DAY_US


def payment(event: RawEvent, src: Source) -> Alert:
    """Return the alert of a payment. Its subject is the session."""
    details = {
        "amount": None
        if event.amount is None
        else money.format_decimal(event.amount, event.currency),
        "currency": event.currency,
        "provider": event.provider,
    }
    paid = (
        event.currency
        if event.amount is None
        else money.format_amount(event.amount, event.currency)
    )
    title = f"Payment of {paid}" if paid else "Payment"
    occasion = _Occasion(PAYMENT, event.session_id, event.event_id, title, details)
    return _alert(event, src, occasion)


def with_link(alert: Alert, public_url: str) -> Alert:
    """Return an alert whose details link to its site on the dashboard."""
    link = f"{public_url}/?site={quote(alert.site_id, safe='')}"
    details = {**json.loads(alert.details), LINK: link}
    return replace(alert, details=_JSON.encode(details))


def error_is_new(known: AlertState | None, src: Source) -> bool:
    """Return True if an error is new, given the state of its fingerprint."""
    return known is None or src.log_ms - known.seen_ms > NEW_AFTER_MS


def error_seen(known: AlertState | None, event: RawEvent, subject: str, src: Source) -> AlertState:
    """Return the state of a fingerprint after this error."""
    return _applied(known or _state(event, ERROR_NEW, subject), src)


def error_new(quota: AlertState | None, event: RawEvent, subject: str, src: Source) -> Step:
    """Raise an alert for a new error, unless the site has used up its quota of the hour.

    `quota` must have no digest that is due. An error over the quota is not in `raised` of the
    state: it remains unseen, and raises an alert when it occurs in a later hour.
    """
    hour = src.log_ms - src.log_ms % _HOUR_MS
    quota = _in_window(quota or _state(event, ERROR_NEW, ""), hour)
    if _was_applied(quota, src):  # the alert was sent before this state was written
        return Step(quota)
    if quota.count >= MAX_NEW_PER_HOUR:
        return Step(_with_unseen(_applied(quota, src), event, subject))
    counted = replace(
        _applied(quota, src),
        count=quota.count + 1,
        raised=[*quota.raised, subject][-2 * MAX_NEW_PER_HOUR :],
    )
    return Step(counted, _new_alert(event, subject, src))


def has_raised(quota: AlertState, subject: str) -> bool:
    """Return True if one of the site's last alerts was for a new error of this fingerprint."""
    return subject in quota.raised


def digest_at(quota: AlertState) -> int | None:
    """Return the stream time (ms) at which the digest of an hour is due; None if there is none."""
    return quota.window_ms + _HOUR_MS + DIGEST_AFTER_MS if quota.unseen else None


def is_over(quota: AlertState, src: Source) -> bool:
    """Return True if an error at this time belongs to a later hour than the quota."""
    return src.log_ms >= quota.window_ms + _HOUR_MS


def digest(quota: AlertState) -> tuple[AlertState, Alert]:
    """Return the state after the digest, and the alert that counts the errors over the quota.

    Its event is the first of these errors.
    """
    count, site_id = len(quota.unseen), quota.site_id
    least = "At least " if count >= MAX_UNSEEN else ""
    details = {"count": count, "minutes": 60, "errors": quota.unseen_titles, "site_id": site_id}
    raised = Alert(
        alert_id=str(uuid5(_ALERTS, f"{site_id}:{ERROR_NEW}:{DIGEST}:{quota.window_ms}")),
        site_id=site_id,
        rule=ERROR_NEW,
        subject=DIGEST,
        title=f"{least}{_plural(count, 'more new error')} in the last hour",
        details=_JSON.encode(details),
        event_id=quota.unseen_event_id,
        raised_at=(quota.window_ms + _HOUR_MS) * 1_000,
    )
    without: dict[str, Any] = {"unseen": [], "unseen_event_id": "", "unseen_titles": []}
    return replace(quota, digest_ms=quota.window_ms, **without), raised


def _with_unseen(quota: AlertState, event: RawEvent, subject: str) -> AlertState:
    """Return the state with an error added to the digest of its hour, unless that was raised."""
    is_counted = subject in quota.unseen or len(quota.unseen) >= MAX_UNSEEN
    if is_counted or quota.digest_ms == quota.window_ms:
        return quota
    titles = quota.unseen_titles
    if len(titles) < MAX_EXAMPLES:
        titles = [*titles, _in_a_line(_name_of(event))]
    return replace(
        quota,
        unseen=[*quota.unseen, subject],
        unseen_event_id=quota.unseen_event_id or event.event_id,
        unseen_titles=titles,
    )


def every_sites_rate() -> Rate:
    """Return the error rate of every site."""
    return Rate(RATE_COUNT, RATE_WINDOW_MS, RATE_PAUSE_MS)


def error_rate(
    state: AlertState | None, event: RawEvent, subject: str, src: Source, rate: Rate
) -> Step:
    """Count an error; raise an alert if a window that contains it has reached the threshold.

    An error belongs to the windows of all errors at most `window_ms` apart. It counts towards one
    alert only: the next one is raised after the window and the pause have passed.
    """
    state = state or _state(event, ERROR_RATE, subject)
    if _was_applied(state, src):
        return Step(state)
    slot_size_ms = slot_size_of(rate.count, rate.window_ms)
    window = (src.log_ms, rate.window_ms, slot_size_ms)
    counts = _counts_of(state, slot_size_ms).add(*window)
    state = replace(
        _applied(state, src),
        window_ms=0,
        count=0,
        slot_ms=list(counts.slot_ms),
        slot_counts=list(counts.counts),
    )
    count = counts.max_around(*window)
    if count < rate.count or not _may_raise(state, src, rate):
        return Step(state)
    return Step(replace(state, raised_ms=src.log_ms), _rate_alert(state, event, src, rate, count))


def _counts_of(state: AlertState, slot_size_ms: int) -> SlidingCount:
    """Return the counts of a state; a state of schema 4 has those of a tumbling window.

    The times of these errors are not known. They are counted at the time of the last one, so that a
    burst during an upgrade is not missed.
    """
    if state.count == 0:
        return SlidingCount(state.slot_ms, state.slot_counts)
    return SlidingCount([state.seen_ms - state.seen_ms % slot_size_ms], [state.count])


def _may_raise(state: AlertState, src: Source, rate: Rate) -> bool:
    """Return True if no error of the window was part of an alert, and the pause has passed."""
    if state.raised_ms is None:
        return True
    since_ms = src.log_ms - state.raised_ms
    return since_ms > rate.window_ms and since_ms >= rate.pause_ms


def _new_alert(event: RawEvent, subject: str, src: Source) -> Alert:
    title = f"New error: {_name_of(event)}"
    details = _error_details(event)
    return _alert(event, src, _Occasion(ERROR_NEW, subject, event.event_id, title, details))


def _rate_alert(state: AlertState, event: RawEvent, src: Source, rate: Rate, count: int) -> Alert:
    minutes = rate.window_ms // _MINUTE_MS
    title = f"{_plural(count, 'error')} in {_plural(minutes, 'minute')}: {_name_of(event)}"
    details = {**_error_details(event), "count": count, "minutes": minutes}
    occasion = _Occasion(ERROR_RATE, state.subject, event.event_id, title, details)
    return _alert(event, src, occasion, rate.subscription_id)


def _error_details(event: RawEvent) -> dict[str, object]:
    return {
        "error_name": event.error_name,
        "error_message": event.error_message,
        "error_stack": event.error_stack,
    }


def _name_of(event: RawEvent) -> str:
    return ": ".join(filter(None, (event.error_name, event.error_message))) or "without a name"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _alert(
    event: RawEvent, src: Source, occasion: _Occasion, subscription_id: str | None = None
) -> Alert:
    rule, subject, name, title, values = occasion
    where = {field: getattr(event, field) for field in _WHERE}
    path = path_of(event.path, event.url)
    found = {**values, **where, "path": None if path == NO_PATH else path}
    details = {field: value for field, value in found.items() if value is not None}
    return Alert(
        alert_id=str(uuid5(_ALERTS, f"{event.site_id}:{rule}:{subject}:{name}")),
        site_id=event.site_id,
        rule=rule,
        subject=subject,
        title=_in_a_line(title),
        details=_JSON.encode(details),
        event_id=event.event_id,
        raised_at=src.log_ms * 1_000,
        subscription_id=subscription_id,
    )


def _in_a_line(title: str) -> str:
    return " ".join(title.split())[:_MAX_TITLE_CHARACTERS]


def limit_times(state: AlertState, ceiling_ms: int) -> AlertState:
    """Return the state with times limited to `ceiling_ms`; later ones would suppress its alerts.

    The time of the last alert and counted errors after it are removed.
    """
    times = (state.seen_ms, state.window_ms, state.raised_ms or 0, *state.slot_ms[-1:])
    if max(times) <= ceiling_ms:
        return state
    kept = sum(ms <= ceiling_ms for ms in state.slot_ms)  # they are sorted
    is_window_ahead = state.window_ms > ceiling_ms
    return replace(
        state,
        seen_ms=min(state.seen_ms, ceiling_ms),
        window_ms=0 if is_window_ahead else state.window_ms,
        count=0 if is_window_ahead else state.count,
        raised_ms=None if (state.raised_ms or 0) > ceiling_ms else state.raised_ms,
        slot_ms=state.slot_ms[:kept],
        slot_counts=state.slot_counts[:kept],
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
