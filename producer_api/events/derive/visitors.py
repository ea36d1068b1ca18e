"""Visitor ids without cookies: a keyed hash of site, address and user agent (ADR 64)."""

import re
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from producer_api.events.derive.salts import DAY_US, Salts

PREFIX = "d-"
_DIGEST_BYTES = 16
_DERIVED = re.compile(rf"{PREFIX}[0-9a-f]{{{2 * _DIGEST_BYTES}}}")
#: Sessions whose visit may cross midnight.
_MAX_SESSIONS = 100_000


class Visitors:
    """Derives visitor ids. A session that is active at midnight keeps its id.

    `now` returns microseconds since the epoch; `gap_us` is the inactivity gap that ends a visit.
    """

    def __init__(self, salts: Salts, now: Callable[[], int], gap_us: int) -> None:
        self._salts = salts
        self._now = now
        self._gap_us = gap_us
        #: The day in whose last hours `_sessions` was filled.
        self._evening = -1
        #: The visitor id and the last activity of each session.
        self._sessions: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    def id_of(self, site_id: str, session_id: str, address: str, user_agent: str) -> str | None:
        """Return the id of a visitor; None before the day's salt is loaded."""
        now = self._now()
        (day, time_of_day) = divmod(now, DAY_US)
        salt = self._salts.of(day)
        if salt is None:
            return None
        text = f"{site_id}\0{address}\0{user_agent}"
        session = (site_id, session_id)
        if self._sessions and (kept := self._kept(session, text, day, now)):
            return kept
        visitor_id = _hash(salt, text)
        if time_of_day >= DAY_US - self._gap_us:
            self._keep(session, visitor_id, day, now)
        return visitor_id

    def _keep(self, session: tuple[str, str], visitor_id: str, day: int, now: int) -> None:
        if self._evening != day:
            self._sessions.clear()
            self._evening = day
        self._sessions[session] = (visitor_id, now)
        self._sessions.move_to_end(session)
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def _kept(self, session: tuple[str, str], text: str, day: int, now: int) -> str | None:
        """Return yesterday's id if it is the same visitor in the same visit."""
        yesterday = self._salts.of(day - 1)
        if self._evening != day - 1 or yesterday is None:
            return None
        (visitor_id, last) = self._sessions.pop(session, ("", 0))
        if now - last > self._gap_us or visitor_id != _hash(yesterday, text):
            return None
        self._sessions[session] = (visitor_id, now)
        return visitor_id


def is_derived(visitor_id: str) -> bool:
    """Return True if an id has the form of derived ids, which are valid for one UTC day."""
    return _DERIVED.fullmatch(visitor_id) is not None


def _hash(salt: bytes, text: str) -> str:
    return PREFIX + blake2b(text.encode(), key=salt, digest_size=_DIGEST_BYTES).hexdigest()
