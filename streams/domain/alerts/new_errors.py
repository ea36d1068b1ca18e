"""The rule `error.new`: the first error of a fingerprint, within a quota per site and hour."""

from typing import Any
from uuid import uuid5

from msgspec.structs import replace

from schemas.alert_rules import ERROR_NEW
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from streams.domain.alerts.alert import (
    JSON,
    NAMESPACE,
    Occasion,
    error_details,
    error_title,
    in_a_line,
    make_alert,
    plural,
)
from streams.domain.alerts.rule_state import Step, apply_offset, new_state, was_applied

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS

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


def is_new(known: AlertState | None, src: Source) -> bool:
    """Return True if an error is new, given the state of its fingerprint."""
    return known is None or src.log_ms - known.seen_ms > NEW_AFTER_MS


def see(known: AlertState | None, event: RawEvent, subject: str, src: Source) -> AlertState:
    """Return the state of a fingerprint after this error."""
    return apply_offset(known or new_state(event, ERROR_NEW, subject), src)


def apply(quota: AlertState | None, event: RawEvent, subject: str, src: Source) -> Step:
    """Raise an alert for a new error, unless the site has used up its quota of the hour.

    `quota` must have no digest that is due. An error over the quota is not in `raised` of the
    state: it remains unseen, and raises an alert when it occurs in a later hour.
    """
    hour = src.log_ms - src.log_ms % _HOUR_MS
    quota = _in_window(quota or new_state(event, ERROR_NEW, ""), hour)
    if was_applied(quota, src):  # the alert was sent before this state was written
        return Step(quota)
    if quota.count >= MAX_NEW_PER_HOUR:
        return Step(_with_unseen(apply_offset(quota, src), event, subject))
    counted = replace(
        apply_offset(quota, src),
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
        alert_id=str(uuid5(NAMESPACE, f"{site_id}:{ERROR_NEW}:{DIGEST}:{quota.window_ms}")),
        site_id=site_id,
        rule=ERROR_NEW,
        subject=DIGEST,
        title=f"{least}{plural(count, 'more new error')} in the last hour",
        details=JSON.encode(details),
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
        titles = [*titles, in_a_line(error_title(event))]
    return replace(
        quota,
        unseen=[*quota.unseen, subject],
        unseen_event_id=quota.unseen_event_id or event.event_id,
        unseen_titles=titles,
    )


def _new_alert(event: RawEvent, subject: str, src: Source) -> Alert:
    title = f"New error: {error_title(event)}"
    details = error_details(event)
    return make_alert(event, src, Occasion(ERROR_NEW, subject, event.event_id, title, details))


def _in_window(state: AlertState, window_ms: int) -> AlertState:
    return state if window_ms <= state.window_ms else replace(state, window_ms=window_ms, count=0)
