"""Session windows that merge, as Kafka Streams and Flink define them (design D9).

A visit is a maximal sequence of one session's events without an inactivity gap in event time. A
sequence of passive events alone is kept, because it may become a visit or be merged into one, but
it is not a visit (docs/adr/0032). The visits do not depend on the order of the events, except for
their ids: a visit is named after the first applied event that is not passive, and of two merged
visits the older id is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from msgspec.structs import replace

from schemas.headers import Source
from schemas.records import RawEvent, SessionState, Visit
from streams.domain.sessions.visits import (
    begin,
    close,
    expire,
    extend,
    join,
    retract,
    text_bytes,
    touches,
    with_event,
)

#: Limit of visits per session state; the oldest ones expire first, closed ones before open ones.
MAX_VISITS = 64
#: Limit of the bytes (UTF-8) of their texts. A few visits never exceed it.
MAX_TEXT_BYTES = 256 * 1024
FEW_VISITS = 6
#: Limit of expired visits in a state, before it is published within the batch.
MAX_EXPIRED = 16

#: When a visit that could not be removed yet is checked again. Not at once: each record of the
#: batch would check it.
_RETRY_MS = 60_000


@dataclass(frozen=True, slots=True)
class SessionRules:
    """The inactivity gap in event time (us), and the other limits in stream time (ms)."""

    gap_us: int
    close_after_ms: int
    retention_ms: int

    @classmethod
    def of_seconds(cls, gap: int, lateness: int, retention: int) -> "SessionRules":
        """Return the rules of settings in seconds."""
        return cls(gap * 1_000_000, (gap + lateness) * 1_000, retention * 1_000)


def apply(
    state: SessionState | None, event: RawEvent, src: Source, rules: SessionRules
) -> SessionState:
    """Return the state including the event; unchanged if the event was applied before."""
    if state is None:
        state = SessionState(
            site_id=event.site_id, session_id=event.session_id, src_offset=-1, visits=[]
        )
    if src.offset <= state.src_offset:
        return state
    visits = state.visits
    # Nearly always: the result of `_placed` in half the time (docs/adr/0018).
    if not visits:
        visits = [with_event(begin(event, src), event, src)]
    elif len(visits) == 1 and touches(visits[0], event.event_ts, rules.gap_us):
        visits = [with_event(visits[0], event, src)]
    else:
        visits = _placed(visits, event, src, rules.gap_us)
    return replace(state, src_offset=src.offset, visits=_bounded(visits))


def apply_in_place(state: SessionState, event: RawEvent, src: Source, rules: SessionRules) -> bool:
    """Apply an event to a state that only the caller has, and whose only visit is open.

    Return False, and change nothing, if that is not so, or if `apply` must decide.
    """
    visits = state.visits
    if src.offset <= state.src_offset or len(visits) != 1 or visits[0].state != "open":
        return False
    if not touches(visits[0], event.event_ts, rules.gap_us) or not extend(visits[0], event, src):
        return False
    state.src_offset = src.offset
    return True


def close_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Close the visits whose inactivity gap and grace period have passed."""
    if not any(_is_due(visit, now_ms, rules) for visit in state.visits):
        return state
    visits = [close(visit) if _is_due(visit, now_ms, rules) else visit for visit in state.visits]
    return replace(state, visits=visits)


def remove_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Remove the visits that no late event can reach; a state without visits can be deleted.

    Call it only on a published state, because removed visits are never published (design D5).
    """
    kept = [
        visit
        for visit in state.visits
        if not visit.leaving and not _is_out_of_reach(visit, now_ms, rules)
    ]
    return state if len(kept) == len(state.visits) else replace(state, visits=kept)


def expire_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Mark the visits that no late event can reach as expired, but keep them.

    It replaces `remove_due` while the state is not published: the visit of a late event must not
    depend on the boundaries of batches.
    """
    if not any(_is_out_of_reach(visit, now_ms, rules) for visit in state.visits):
        return state
    visits = [
        expire(visit) if _is_out_of_reach(visit, now_ms, rules) else visit for visit in state.visits
    ]
    return replace(state, visits=visits)


def last_log_ms(state: SessionState) -> int:
    """Return the log time (ms) of the last event of any visit; 0 without visits."""
    return max((visit.last_log_ms for visit in state.visits), default=0)


def limit_times(state: SessionState, ceiling_ms: int) -> SessionState:
    """Return the state with log times limited to `ceiling_ms`, which changes no row."""
    if last_log_ms(state) <= ceiling_ms:
        return state
    visits = [
        replace(visit, last_log_ms=min(visit.last_log_ms, ceiling_ms)) for visit in state.visits
    ]
    return replace(state, visits=visits)


def close_all(state: SessionState) -> SessionState:
    """Close all open visits early, for an eviction."""
    visits = [close(visit) if visit.state == "open" else visit for visit in state.visits]
    return replace(state, visits=visits)


def is_open(state: SessionState) -> bool:
    """Return True if a visit is open."""
    for visit in state.visits:  # noqa: SIM110 - called for each event; a generator takes three times as long
        if visit.state == "open":
            return True
    return False


def are_all_open(state: SessionState) -> bool:
    """Return True if all visits are open, so that none is out of reach of late events."""
    for visit in state.visits:  # noqa: SIM110 - called for each event, as `is_open`
        if visit.state != "open":
            return False
    return True


def closes_at(state: SessionState, rules: SessionRules) -> int | None:
    """Return the stream time (ms) after which a visit can be closed; None if none is open."""
    open_ = [_deadline(visit, rules) for visit in state.visits if visit.state == "open"]
    return min(open_) if open_ else None


def removed_at(state: SessionState, now_ms: int, rules: SessionRules) -> int:
    """Return the stream time (ms) after which a closed visit can be removed.

    Visits that are due but could not be removed yet are retried later.
    """
    closed = (_deadline(visit, rules) for visit in state.visits if visit.state != "open")
    at_ms = min(closed, default=now_ms)  # without visits: of an erased session
    return now_ms + _RETRY_MS if at_ms < now_ms else at_ms


def _placed(visits: Sequence[Visit], event: RawEvent, src: Source, gap_us: int) -> list[Visit]:
    """Return the visits including the event, which merges all visits that it touches."""
    touching: list[Visit] = []
    others: list[Visit] = []
    for visit in visits:
        (touching if touches(visit, event.event_ts, gap_us) else others).append(visit)
    if touching:
        # A passive sequence has no row to retract: it disappears in the visit.
        order = sorted(touching, key=lambda visit: (visit.is_passive, visit.began_offset))
        oldest, *younger = order
        others += [retract(visit) for visit in younger if not visit.is_passive]
        merged = reduce(join, younger, oldest)
    else:
        merged = begin(event, src)
    others.append(with_event(merged, event, src))
    return sorted(others, key=lambda visit: (visit.started_at, visit.began_offset))


def has_many_expired(state: SessionState) -> bool:
    """Return True if the state has so many expired visits that it must be published."""
    if len(state.visits) <= MAX_EXPIRED:  # nearly always
        return False
    return sum(visit.leaving for visit in state.visits) > MAX_EXPIRED


def _bounded(visits: list[Visit]) -> list[Visit]:
    """Expire the oldest visits until the state is within its limits."""
    if len(visits) <= FEW_VISITS:
        return visits
    withdrawn = [visit for visit in visits if visit.state == "withdrawn" and not visit.leaving]
    living = [visit for visit in visits if visit.state != "withdrawn" and not visit.leaving]
    living.sort(key=lambda visit: (visit.state == "open", visit.ended_at))
    leaving = [
        *withdrawn[: max(0, len(withdrawn) - MAX_VISITS)],
        *living[: _excess(living)],
    ]
    return [expire(visit) if visit in leaving else visit for visit in visits] if leaving else visits


def _excess(living: Sequence[Visit]) -> int:
    """Return how many of the first visits exceed the limits."""
    excess = max(0, len(living) - MAX_VISITS)
    sizes = [text_bytes(visit) for visit in living]
    total = sum(sizes[excess:])
    while total > MAX_TEXT_BYTES and excess < len(living) - 1:
        total -= sizes[excess]
        excess += 1
    return excess


def _is_due(visit: Visit, now_ms: int, rules: SessionRules) -> bool:
    return visit.state == "open" and now_ms > visit.last_log_ms + rules.close_after_ms


def _is_out_of_reach(visit: Visit, now_ms: int, rules: SessionRules) -> bool:
    return visit.state != "open" and not visit.leaving and now_ms > _deadline(visit, rules)


def _deadline(visit: Visit, rules: SessionRules) -> int:
    if visit.leaving:
        return 0
    closes = visit.last_log_ms + rules.close_after_ms
    return closes if visit.state == "open" else closes + rules.retention_ms
