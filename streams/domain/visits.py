"""One visit: how it begins, what an event adds to it, and how two become one.

Of its texts the first of all events counts, of its pages the first and the last: each has the
place in time of its event, so the order in which events come does not matter.
"""

from typing import Any, Literal
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas.event_types import PASSIVE_TYPES
from schemas.headers import Source
from schemas.paths import path_of
from schemas.records import RawEvent, Stamped, Utm, Visit

#: The namespace of visit ids.
_VISITS = UUID("5d9e33a5-4f0c-5a0e-9f3c-0d2c5a3b7e11")

#: Texts of a visit that are the first non-empty of its events.
_FIRSTS: tuple[
    Literal["visitor_id", "user_id", "referrer", "utm_source", "utm_medium", "utm_campaign"], ...
] = ("visitor_id", "user_id", "referrer", "utm_source", "utm_medium", "utm_campaign")


_NO_UTM = Utm()


def touches(visit: Visit, ts: int, gap_us: int) -> bool:
    """Tell whether an event of this time is part of the visit."""
    return (
        visit.state != "withdrawn"
        and not visit.leaving
        and visit.started_at - gap_us <= ts <= visit.ended_at + gap_us
    )


def begin(event: RawEvent, src: Source) -> Visit:
    """Return the visit that an event begins, still without it."""
    return Visit(
        visit_id=_visit_id(event),
        began_offset=src.offset,
        started_at=event.event_ts,
        ended_at=event.event_ts,
        last_log_ms=src.log_ms,
        state="open",
        revision=0,
        events=0,
        pageviews=0,
        errors=0,
        payments=0,
        engagements=0,
    )


def with_event(visit: Visit, event: RawEvent, src: Source) -> Visit:
    """Return the visit with the event in it; it is open again."""
    ts, kind = event.event_ts, event.type
    entry, exit_ = visit.entry, visit.exit
    if kind == "pageview":
        page = Stamped(path_of(event.path, event.url), ts, event.event_id)
        entry, exit_ = _earlier(entry, page), _later(exit_, page)
    utm = event.utm or _NO_UTM
    return replace(
        visit,
        started_at=min(visit.started_at, ts),
        ended_at=max(visit.ended_at, ts),
        last_log_ms=max(visit.last_log_ms, src.log_ms),
        state="open",
        close_reason=None,
        revision=visit.revision + 1,
        events=visit.events + 1,
        pageviews=visit.pageviews + (kind == "pageview"),
        errors=visit.errors + (kind == "error"),
        payments=visit.payments + (kind == "payment"),
        engagements=visit.engagements + (kind not in PASSIVE_TYPES),
        entry=entry,
        exit=exit_,
        visitor_id=_first(visit.visitor_id, event.visitor_id, event),
        user_id=_first(visit.user_id, event.user_id, event),
        referrer=_first(visit.referrer, event.referrer, event),
        utm_source=_first(visit.utm_source, utm.source, event),
        utm_medium=_first(visit.utm_medium, utm.medium, event),
        utm_campaign=_first(visit.utm_campaign, utm.campaign, event),
    )


def join(older: Visit, younger: Visit) -> Visit:
    """Return both as one, under the older's name."""
    firsts: dict[str, Any] = {
        name: _earlier(getattr(older, name), getattr(younger, name)) for name in _FIRSTS
    }
    return replace(
        older,
        started_at=min(older.started_at, younger.started_at),
        ended_at=max(older.ended_at, younger.ended_at),
        last_log_ms=max(older.last_log_ms, younger.last_log_ms),
        revision=older.revision + 1,
        events=older.events + younger.events,
        pageviews=older.pageviews + younger.pageviews,
        errors=older.errors + younger.errors,
        payments=older.payments + younger.payments,
        engagements=older.engagements + younger.engagements,
        entry=_earlier(older.entry, younger.entry),
        exit=_later(older.exit, younger.exit),
        **firsts,
    )


def _first(known: Stamped | None, text: str | None, event: RawEvent) -> Stamped | None:
    """Return the first non-empty text, given that of the events before and this event's."""
    if not text or (known is not None and known.ts < event.event_ts):  # nearly always
        return known
    return _earlier(known, Stamped(text, event.event_ts, event.event_id))


def _earlier(one: Stamped | None, other: Stamped | None) -> Stamped | None:
    if one is None or other is None:
        return one or other
    return other if _is_before(other, one) else one


def _later(one: Stamped | None, other: Stamped | None) -> Stamped | None:
    if one is None or other is None:
        return one or other
    return other if _is_before(one, other) else one


def _is_before(one: Stamped, other: Stamped) -> bool:
    return one.ts < other.ts or (one.ts == other.ts and one.event_id < other.event_id)


def withdraw(visit: Visit) -> Visit:
    """Return a visit that became part of another."""
    # Its texts are in the visit that it became part of; 64 of them twice would be too large.
    without_texts: dict[str, Any] = dict.fromkeys((*_FIRSTS, "entry", "exit"))
    return replace(
        visit,
        state="withdrawn",
        close_reason="merged",
        revision=visit.revision + 1,
        **without_texts,
    )


def close(visit: Visit) -> Visit:
    """Return a visit that no event came to for long."""
    return replace(visit, state="closed", close_reason="idle", revision=visit.revision + 1)


def leave(visit: Visit) -> Visit:
    """Return a visit that no event reaches any more."""
    return replace(close(visit) if visit.state == "open" else visit, leaving=True)


def _visit_id(event: RawEvent) -> str:
    return str(uuid5(_VISITS, f"{event.site_id}:{event.session_id}:{event.event_id}"))
