"""Sessions as merging windows, as Kafka Streams and Flink define them (design D9).

A visit is a maximal run of one session's events with no gap over the limit in event time.
Any order of the same events gives the same visits, but for their ids: a visit is named after
the event that was applied first, and of two that become one the older name stays.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas.event_types import PASSIVE_TYPES
from schemas.headers import Source
from schemas.paths import path_of
from schemas.records import RawEvent, SessionState, Stamped, Utm, Visit

#: Visits that one session keeps in its state; more make the oldest leave, closed ones first.
MAX_VISITS = 64

#: What could not be forgotten yet is looked at again so much later. Not at once: the whole
#: batch would look at it, record by record.
_RETRY_MS = 60_000

#: The namespace of visit ids.
_VISITS = UUID("5d9e33a5-4f0c-5a0e-9f3c-0d2c5a3b7e11")

#: Texts of a visit that are the first non-empty of its events.
_FIRSTS: tuple[
    Literal["visitor_id", "user_id", "referrer", "utm_source", "utm_medium", "utm_campaign"], ...
] = ("visitor_id", "user_id", "referrer", "utm_source", "utm_medium", "utm_campaign")


_NO_UTM = Utm()


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
    arrived = _visit_of(event, src)
    touching = [visit for visit in state.visits if _touches(visit, arrived, rules.gap_us)]
    others = [visit for visit in state.visits if visit not in touching]
    oldest_first = sorted(touching, key=lambda visit: visit.began_offset)
    if oldest_first:
        merged = oldest_first[0]
        for younger in (*oldest_first[1:], arrived):
            merged = _join(merged, younger)
        others += [_withdraw(younger) for younger in oldest_first[1:]]
    else:
        merged = replace(arrived, visit_id=_visit_id(event))
    visits = sorted((*others, merged), key=lambda visit: (visit.started_at, visit.began_offset))
    return replace(state, src_offset=src.offset, visits=_bounded(visits))


def close_due(state: SessionState, now_ms: int, rules: SessionRules) -> SessionState:
    """Close the visits that stream time has passed by gap and lateness."""
    if not any(_is_due(visit, now_ms, rules) for visit in state.visits):
        return state
    visits = [_close(visit) if _is_due(visit, now_ms, rules) else visit for visit in state.visits]
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
        _leave(visit) if _is_out_of_reach(visit, now_ms, rules) else visit for visit in state.visits
    ]
    return replace(state, visits=visits)


def close_all(state: SessionState) -> SessionState:
    """Close the visits that are open, before their time: there is no room for them."""
    visits = [_close(visit) if visit.state == "open" else visit for visit in state.visits]
    return replace(state, visits=visits)


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


def _visit_id(event: RawEvent) -> str:
    return str(uuid5(_VISITS, f"{event.site_id}:{event.session_id}:{event.event_id}"))


def _visit_of(event: RawEvent, src: Source) -> Visit:
    """Return a visit of one event; it has no id yet, since most become part of another."""
    is_pageview = event.type == "pageview"
    place = (event.event_ts, event.event_id)
    page = Stamped(path_of(event.path, event.url), *place) if is_pageview else None
    utm = event.utm or _NO_UTM
    firsts: dict[str, str | None] = {
        "visitor_id": event.visitor_id,
        "user_id": event.user_id,
        "referrer": event.referrer,
        "utm_source": utm.source,
        "utm_medium": utm.medium,
        "utm_campaign": utm.campaign,
    }
    stamped: dict[str, Any] = {name: Stamped(text, *place) for name, text in firsts.items() if text}
    return Visit(
        visit_id="",
        began_offset=src.offset,
        started_at=event.event_ts,
        ended_at=event.event_ts,
        last_log_ms=src.log_ms,
        state="open",
        revision=1,
        events=1,
        pageviews=int(is_pageview),
        errors=int(event.type == "error"),
        payments=int(event.type == "payment"),
        engagements=int(event.type not in PASSIVE_TYPES),
        entry=page,
        exit=page,
        **stamped,
    )


def _touches(visit: Visit, arrived: Visit, gap_us: int) -> bool:
    return (
        visit.state != "withdrawn"
        and not visit.leaving
        and visit.started_at - gap_us <= arrived.started_at <= visit.ended_at + gap_us
    )


def _join(older: Visit, younger: Visit) -> Visit:
    """Return both as one, under the older's name; it is open again."""
    firsts: dict[str, Any] = {
        name: _first(getattr(older, name), getattr(younger, name)) for name in _FIRSTS
    }
    return replace(
        older,
        started_at=min(older.started_at, younger.started_at),
        ended_at=max(older.ended_at, younger.ended_at),
        last_log_ms=max(older.last_log_ms, younger.last_log_ms),
        state="open",
        close_reason=None,
        revision=older.revision + 1,
        events=older.events + younger.events,
        pageviews=older.pageviews + younger.pageviews,
        errors=older.errors + younger.errors,
        payments=older.payments + younger.payments,
        engagements=older.engagements + younger.engagements,
        entry=_first(older.entry, younger.entry),
        exit=_last(older.exit, younger.exit),
        **firsts,
    )


def _first(one: Stamped | None, other: Stamped | None) -> Stamped | None:
    if one is None or other is None:
        return one or other
    return other if _is_before(other, one) else one


def _last(one: Stamped | None, other: Stamped | None) -> Stamped | None:
    if one is None or other is None:
        return one or other
    return other if _is_before(one, other) else one


def _is_before(one: Stamped, other: Stamped) -> bool:
    return one.ts < other.ts or (one.ts == other.ts and one.event_id < other.event_id)


def _withdraw(visit: Visit) -> Visit:
    # Its texts are in the visit that it became part of; 64 of them twice would be too large.
    without_texts: dict[str, Any] = dict.fromkeys((*_FIRSTS, "entry", "exit"))
    return replace(
        visit,
        state="withdrawn",
        close_reason="merged",
        revision=visit.revision + 1,
        **without_texts,
    )


def _close(visit: Visit) -> Visit:
    return replace(visit, state="closed", close_reason="idle", revision=visit.revision + 1)


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
    return [_leave(visit) if visit in leaving else visit for visit in visits] if leaving else visits


def _leave(visit: Visit) -> Visit:
    return replace(_close(visit) if visit.state == "open" else visit, leaving=True)


def _is_due(visit: Visit, now_ms: int, rules: SessionRules) -> bool:
    return visit.state == "open" and now_ms > visit.last_log_ms + rules.close_after_ms


def _is_out_of_reach(visit: Visit, now_ms: int, rules: SessionRules) -> bool:
    return visit.state != "open" and not visit.leaving and now_ms > _deadline(visit, rules)


def _deadline(visit: Visit, rules: SessionRules) -> int:
    if visit.leaving:
        return 0
    closes = visit.last_log_ms + rules.close_after_ms
    return closes if visit.state == "open" else closes + rules.retention_ms
