"""Conflicting claims of events about their visit: which one wins, whatever arrives first.

Anybody who knows a session id can send events of the session. The claim of the event with the
highest trust wins: a site key over an allowed origin over none. Among equals, the first event wins,
by `event_ts` and `event_id`; for the exit page, the last one.
"""

from typing import Protocol, TypeVar

from schemas.records import RawEvent, Stamped

#: The trust of claims that lose against those of all events.
LOWEST = ""
_RANKS = {"key": 0, "origin": 1, LOWEST: 3}
_OPEN = 2


class Claim(Protocol):
    """What an event says about its visit, with the event's trust, time (us) and id."""

    @property
    def trust(self) -> str: ...  # noqa: D102 - as documented above
    @property
    def ts(self) -> int: ...  # noqa: D102
    @property
    def event_id(self) -> str: ...  # noqa: D102


C = TypeVar("C", bound=Claim)


def stamp(value: str, event: RawEvent) -> Stamped:
    """Return the claim of an event."""
    return Stamped(value, event.event_ts, event.event_id, event.trust)


def order(claim: Claim) -> tuple[int, int, str]:
    """Return the sort key of claims: the winning one is the lowest."""
    return _RANKS.get(claim.trust, _OPEN), claim.ts, claim.event_id


def earlier(one: C | None, other: C | None) -> C | None:
    """Return the winning claim of two; None if there is none."""
    if one is None or other is None:
        return one or other
    return other if order(other) < order(one) else one


def later(one: C | None, other: C | None) -> C | None:
    """Return the claim with the higher trust, of equals the later one; None if there is none."""
    if one is None or other is None:
        return one or other
    if one.trust == other.trust:  # nearly always
        return other if (other.ts, other.event_id) > (one.ts, one.event_id) else one
    (rank, *time), (other_rank, *other_time) = order(one), order(other)
    return other if (-other_rank, *other_time) > (-rank, *time) else one


def is_settled(known: Claim | None, event: RawEvent) -> bool:
    """Return True if the event cannot win, because it has the same trust and is later.

    This is nearly always so, and cheap. Otherwise, compare the claims.
    """
    return known is not None and known.ts < event.event_ts and known.trust == event.trust


def higher_trust(one: str, other: str) -> str:
    """Return the higher one of two levels of trust."""
    if one == other:  # nearly always
        return one
    return other if _RANKS.get(other, _OPEN) < _RANKS.get(one, _OPEN) else one
