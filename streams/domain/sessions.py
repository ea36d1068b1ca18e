"""Sessions as merging windows, as Kafka Streams and Flink define them (design D9).

A visit is a maximal run of one session's events with no gap over the limit in event time.
Any order of the same events gives the same visits, but for their ids: a visit is named after
the event that was applied first, and of two that become one the older name stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from msgspec.structs import replace

from schemas.headers import Source
from schemas.records import RawEvent, SessionState, Visit
from streams.domain.visits import begin, close, join, leave, touches, with_event, withdraw

#: Visits that one session keeps in its state; more make the oldest leave, closed ones first.
MAX_VISITS = 64

#: What could not be forgotten yet is looked at again so much later. Not at once: the whole
#: batch would look at it, record by record.
_RETRY_MS = 60_000


@dataclass(frozen=True, slots=True)
class SessionRules:
    """The limits: `gap_us` in event time, the others in stream time."""

    gap_us: int
    close_after_ms: int
    retention_ms: int

    @classmethod
    def of_seconds(cls, gap: int, lateness: int, retention: int) -> "SessionRules":
        """Make the rules of the settings, which are in seconds."""
        return cls(gap * 1_000_000, (gap + lateness) * 1_000, retention * 1_000)


def apply(
    state: SessionState | None, event: RawEvent, src: Source, rules: SessionRules
) -> SessionState:
    """Return the state with the event in it; unchanged when it was applied before."""
    if state is None:
        state = SessionState(
            site_id=event.site_id, session_id=event.session_id, src_offset=-1, visits=[]
        )
    if src.offset <= state.src_offset:
        return state
    visits = state.visits
    # Nearly always: what `_placed` comes to then, in half the time (docs/adr/0018).
    if len(visits) == 1 and touches(visits[0], event.event_ts, rules.gap_us):
        visits = [with_event(visits[0], event, src)]
    else:
        visits = _placed(visits, event, src, rules.gap_us)
    return replace(state, src_offset=src.offset, visits=_bounded(visits))


def close_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Close the visits that stream time has passed by gap and lateness."""
    if not any(_is_due(visit, now_ms, rules) for visit in state.visits):
        return state
    visits = [close(visit) if _is_due(visit, now_ms, rules) else visit for visit in state.visits]
    return replace(state, visits=visits)


def forget_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Drop the visits that no late event can reach any more; with none left, it can be deleted.

    Call it only on a state that is published as it is: what is dropped here is never seen
    again (design D5).
    """
    kept = [
        visit
        for visit in state.visits
        if not visit.leaving and not _is_out_of_reach(visit, now_ms, rules)
    ]
    return state if len(kept) == len(state.visits) else replace(state, visits=kept)


def leave_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Take the visits that no late event can reach any more out of reach, but keep them.

    It stands in for `forget_due` where the state is not published yet: what a late event
    finds must not depend on where batches begin.
    """
    if not any(_is_out_of_reach(visit, now_ms, rules) for visit in state.visits):
        return state
    visits = [
        leave(visit) if _is_out_of_reach(visit, now_ms, rules) else visit for visit in state.visits
    ]
    return replace(state, visits=visits)


def close_all(state: SessionState) -> SessionState:
    """Close the visits that are open, before their time: there is no room for them."""
    visits = [close(visit) if visit.state == "open" else visit for visit in state.visits]
    return replace(state, visits=visits)


def is_open(state: SessionState) -> bool:
    """Tell whether a visit is open."""
    for visit in state.visits:  # noqa: SIM110 - asked for each event; a generator costs thrice
        if visit.state == "open":
            return True
    return False


def closes_at(state: SessionState, rules: SessionRules) -> int | None:
    """Return the stream time (ms) after which `close_due` has work; None when none is open."""
    return min(
        (_deadline(visit, rules) for visit in state.visits if visit.state == "open"), default=None
    )


def forgotten_at(state: SessionState, now_ms: int, rules: SessionRules) -> int:
    """Return the stream time (ms) after which `forget_due` has work on closed visits.

    What is due and could not be forgotten yet is left for a later batch.
    """
    at_ms = min(_deadline(visit, rules) for visit in state.visits if visit.state != "open")
    return now_ms + _RETRY_MS if at_ms < now_ms else at_ms


def _placed(visits: Sequence[Visit], event: RawEvent, src: Source, gap_us: int) -> list[Visit]:
    """Return the visits with the event in one of them, joined from all that it touches."""
    touching: list[Visit] = []
    others: list[Visit] = []
    for visit in visits:
        (touching if touches(visit, event.event_ts, gap_us) else others).append(visit)
    if touching:
        oldest, *younger = sorted(touching, key=lambda visit: visit.began_offset)
        others += map(withdraw, younger)
        merged = reduce(join, younger, oldest)
    else:
        merged = begin(event, src)
    others.append(with_event(merged, event, src))
    return sorted(others, key=lambda visit: (visit.started_at, visit.began_offset))


def _bounded(visits: list[Visit]) -> list[Visit]:
    """Let the oldest visits leave until the state is within its bounds."""
    if len(visits) <= MAX_VISITS:
        return visits
    withdrawn = [visit for visit in visits if visit.state == "withdrawn" and not visit.leaving]
    living = [visit for visit in visits if visit.state != "withdrawn" and not visit.leaving]
    living.sort(key=lambda visit: (visit.state == "open", visit.ended_at))
    leaving = [
        *withdrawn[: max(0, len(withdrawn) - MAX_VISITS)],
        *living[: max(0, len(living) - MAX_VISITS)],
    ]
    return [leave(visit) if visit in leaving else visit for visit in visits] if leaving else visits


def _is_due(visit: Visit, now_ms: int, rules: SessionRules) -> bool:
    return visit.state == "open" and now_ms > visit.last_log_ms + rules.close_after_ms


def _is_out_of_reach(visit: Visit, now_ms: int, rules: SessionRules) -> bool:
    return visit.state != "open" and not visit.leaving and now_ms > _deadline(visit, rules)


def _deadline(visit: Visit, rules: SessionRules) -> int:
    if visit.leaving:
        return 0
    closes = visit.last_log_ms + rules.close_after_ms
    return closes if visit.state == "open" else closes + rules.retention_ms
