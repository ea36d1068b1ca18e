"""The rule `error.rate`: many errors of a fingerprint, or of a site, in a sliding window."""

from dataclasses import dataclass

from msgspec.structs import replace

from schemas import alert_rules
from schemas.alert_rules import ERROR_RATE
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from streams.domain.alerts.alert import Occasion, error_details, error_title, make_alert, plural
from streams.domain.alerts.rule_state import Step, apply_offset, new_state, was_applied
from streams.domain.alerts.sliding_count import SlidingCount, slot_size_of

_MINUTE_MS = 60_000

#: The threshold and window of `error.rate` for one fingerprint ...
RATE_COUNT = alert_rules.RATE_COUNT
RATE_WINDOW_MS = alert_rules.RATE_MINUTES * _MINUTE_MS
#: ... and the pause until the next alert.
RATE_PAUSE_MS = 30 * _MINUTE_MS


@dataclass(frozen=True, slots=True)
class Rate:
    """The threshold, window and pause of an error rate.

    `subscription_id` is the subscription that defines it; None for the rule of every site.
    """

    count: int
    window_ms: int
    pause_ms: int = 0
    subscription_id: str | None = None


def every_sites_rate() -> Rate:
    """Return the error rate of every site."""
    return Rate(RATE_COUNT, RATE_WINDOW_MS, RATE_PAUSE_MS)


def apply(state: AlertState | None, event: RawEvent, subject: str, src: Source, rate: Rate) -> Step:
    """Count an error; raise an alert if a window that contains it has reached the threshold.

    An error belongs to the windows of all errors at most `window_ms` apart. It counts towards one
    alert only: the next one is raised after the window and the pause have passed.
    """
    state = state or new_state(event, ERROR_RATE, subject)
    if was_applied(state, src):
        return Step(state)
    slot_size_ms = slot_size_of(rate.count, rate.window_ms)
    window = (src.log_ms, rate.window_ms, slot_size_ms)
    counts = _counts_of(state, slot_size_ms).add(*window)
    state = replace(
        apply_offset(state, src),
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


def _rate_alert(state: AlertState, event: RawEvent, src: Source, rate: Rate, count: int) -> Alert:
    minutes = rate.window_ms // _MINUTE_MS
    title = f"{plural(count, 'error')} in {plural(minutes, 'minute')}: {error_title(event)}"
    details = {**error_details(event), "count": count, "minutes": minutes}
    occasion = Occasion(ERROR_RATE, state.subject, event.event_id, title, details)
    return make_alert(event, src, occasion, rate.subscription_id)
