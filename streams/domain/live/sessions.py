"""Active sessions of the last minutes, with the current page, the origin and the client of each."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import NamedTuple, TypeVar

from schemas.event_types import PASSIVE_TYPES
from schemas.live import ACTIVE_SECONDS
from schemas.paths import path_of
from schemas.records import RawEvent
from streams.domain.live.name_counts import NameCounts
from streams.domain.sessions.referrers import is_own, own_hosts, referrer_host, with_hosts

T = TypeVar("T")

ACTIVE_MS = ACTIVE_SECONDS * 1_000

#: Limit of the visitors of a passive sequence, nearly always one.
_MAX_PASSIVE_VISITORS = 4

#: A visitor, and the second of its event.
Seen = tuple[str, int]


class _Labels(NamedTuple):
    """The first country, device and traffic source of a session."""

    country: str | None = None
    device: str | None = None
    source: str | None = None

    def with_event(self, event: RawEvent) -> "_Labels":
        """Return the labels, with the missing ones taken from an event."""
        if (
            (self.country or not event.country)
            and (self.device or not event.device)
            and (self.source or not event.source)
        ):
            return self  # nearly always
        found = (
            self.country or event.country,
            self.device or event.device,
            self.source or event.source,
        )
        # Interned, because many sessions share them.
        return _Labels(*(name and intern(name) for name in found))


_NO_LABELS = _Labels()


@dataclass(slots=True)
class _Session:
    last_ms: int
    page: int | None = None
    host: int | None = None
    #: The counted referrer host, and the own hosts of the site.
    came_from: str | None = None
    own: frozenset[str] = frozenset()
    labels: _Labels = _NO_LABELS


class _PassiveRun(NamedTuple):
    """Passive events only, and their contribution if the session becomes active."""

    last_ms: int
    came_from: str | None = None
    own: frozenset[str] = frozenset()
    visitors: tuple[Seen, ...] = ()
    labels: _Labels = _NO_LABELS


class ActiveSessions:
    """Sessions by the log time of their last event, the least recently active first.

    A session that was idle for longer than the window starts again, without its previous page,
    host and labels. Passive events alone do not make a session active, but belong to it once
    another event arrives.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._passive: OrderedDict[str, _PassiveRun] = OrderedDict()
        self.pages = NameCounts()
        self.referrers = NameCounts()
        self.countries = NameCounts()
        self.devices = NameCounts()
        self.sources = NameCounts()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def held(self) -> int:
        """The number of sessions in memory, including those with passive events only."""
        return len(self._sessions) + len(self._passive)

    def apply(self, event: RawEvent, log_ms: int) -> Sequence[Seen]:
        """Apply an event, and return the visitors that count because of it.

        Log times must be ascending. Visitors of passive events count once an event makes the
        session active, which returns them, too.
        """
        name = event.session_id
        seen = (event.visitor_id or name, log_ms // 1_000)
        visitors: Sequence[Seen] = (seen,)
        known = self._sessions.get(name)
        if known is not None and known.last_ms <= log_ms - ACTIVE_MS:
            del self._sessions[name]
            self._stop_counting(known)
            known = None
        if known is None:
            run = self._passive.pop(name, None)
            if run is None or run.last_ms <= log_ms - ACTIVE_MS:
                run = _PassiveRun(log_ms)
            if event.type in PASSIVE_TYPES:
                self._passive[name] = _with_event(run, event, seen, log_ms)
                return ()
            visitors = (*run.visitors, seen)
            known = self._sessions[name] = self._begin(run)
        else:
            self._sessions.move_to_end(name)
        self._update(known, event, log_ms)
        return visitors

    def _begin(self, run: _PassiveRun) -> _Session:
        """Return a new session with the events of a passive run, and count its origin."""
        host = self.referrers.move(None, run.came_from)
        self._count_labels(_NO_LABELS, run.labels)
        return _Session(run.last_ms, None, host, run.came_from, run.own, run.labels)

    def _update(self, known: _Session, event: RawEvent, log_ms: int) -> None:
        """Add an event to a counted session."""
        if log_ms > known.last_ms:  # noqa: PLR1730 - twice as fast as `max`
            known.last_ms = log_ms
        if event.type == "pageview":
            known.page = self.pages.move(known.page, path_of(event.path, event.url))
        # Nearly always, the event names the same hosts as the one before, from the same cache.
        if own_hosts(event) is not known.own or (event.referrer and known.came_from is None):
            came_from, known.own = _origin(known, event)
            if came_from != known.came_from:
                known.host = self.referrers.move(known.host, came_from)
                known.came_from = came_from
        labels = known.labels.with_event(event)
        if labels is not known.labels:
            self._count_labels(known.labels, labels)
            known.labels = labels

    def decay(self, now_ms: int) -> bool:
        """Remove sessions that are idle; return True if any of them was counted."""
        while self._passive and _first(self._passive).last_ms <= now_ms - ACTIVE_MS:
            self._passive.popitem(last=False)
        before = len(self._sessions)
        while self._sessions and _first(self._sessions).last_ms <= now_ms - ACTIVE_MS:
            self._evict_first()
        return len(self._sessions) < before

    def forget_oldest(self) -> None:
        """Evict a session that is not counted, or the least recently active one."""
        if self._passive:
            self._passive.popitem(last=False)
        else:
            self._evict_first()

    def _evict_first(self) -> None:
        (_, session) = self._sessions.popitem(last=False)
        self._stop_counting(session)

    @property
    def next_decay_ms(self) -> int | None:
        """When the next session becomes idle (ms); None without sessions."""
        return _first(self._sessions).last_ms + ACTIVE_MS if self._sessions else None

    def _stop_counting(self, session: _Session) -> None:
        self.pages.move(session.page, None)
        self.referrers.move(session.host, None)
        self._count_labels(session.labels, _NO_LABELS)

    def _count_labels(self, old: _Labels, new: _Labels) -> None:
        """Count a session under its new labels instead of the old ones."""
        counts = (self.countries, self.devices, self.sources)
        for count, before, after in zip(counts, old, new, strict=True):
            if before != after:
                count.replace(before, after)


def _with_event(run: _PassiveRun, event: RawEvent, seen: Seen, log_ms: int) -> _PassiveRun:
    others = [one for one in run.visitors if one[0] != seen[0]]
    visitors = (*others, seen)[-_MAX_PASSIVE_VISITORS:]
    labels = run.labels.with_event(event)
    return _PassiveRun(max(run.last_ms, log_ms), *_origin(run, event), visitors, labels)


def _origin(known: _Session | _PassiveRun, event: RawEvent) -> tuple[str | None, frozenset[str]]:
    """Return the referrer host of a session and the site's own hosts, after one more event.

    The first referrer counts, unless its host turns out to be one of the site.
    """
    came_from, own = known.came_from, known.own
    named = own_hosts(event)
    if named is not own and not named <= own:
        # All sessions with the same hosts share the set in the cache.
        own = frozenset(with_hosts(sorted(own), named)) if own else named
        came_from = None if came_from and is_own(came_from, own) else came_from
    if came_from is None and event.referrer:
        came_from = referrer_host(event, own)
    return came_from, own


def _first(held: OrderedDict[str, T]) -> T:
    return next(iter(held.values()))
