"""The states of alert rules, and which events they contain.

A state contains the last applied offset of each source partition, because the events of a site come
from all of them (design D6).
"""

from typing import NamedTuple

from msgspec.structs import replace

from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent


class Step(NamedTuple):
    """The result of a rule."""

    state: AlertState
    alert: Alert | None = None


def new_state(event: RawEvent, rule: str, subject: str) -> AlertState:
    """Return the state of a rule for a subject without events."""
    return AlertState(site_id=event.site_id, rule=rule, subject=subject, applied={}, seen_ms=0)


def was_applied(state: AlertState, src: Source) -> bool:
    """Return True if the state contains this event."""
    return state.applied.get(str(src.partition), -1) >= src.offset


def apply_offset(state: AlertState, src: Source) -> AlertState:
    """Return the state with the offset and the time of an event."""
    partition = str(src.partition)
    offset = max(src.offset, state.applied.get(partition, -1))
    return replace(
        state,
        applied=state.applied | {partition: offset},
        seen_ms=max(state.seen_ms, src.log_ms),
    )


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
