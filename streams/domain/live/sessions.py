"""Active sessions of the last minutes, with the current page and referrer host of each."""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from schemas.event_types import PASSIVE_TYPES
from schemas.live import ACTIVE_SECONDS, TOP_NAMES
from schemas.paths import path_of
from schemas.records import RawEvent
from streams.domain.sessions.referrers import is_own, own_hosts, referrer_host, with_hosts

T = TypeVar("T")

ACTIVE_MS = ACTIVE_SECONDS * 1_000

#: Limit of names per kind and site; the rarest are evicted. Counts are kept by the hash of the
#: name, so that an evicted name has its exact count when it occurs again.
MAX_NAMES = 1_000
#: Limit of a name in the counters.
MAX_NAME_CHARACTERS = 256

#: Limit of the visitors of a passive sequence, nearly always one.
_MAX_PASSIVE_VISITORS = 4

_KEPT_NAMES = MAX_NAMES // 2


#: A visitor, and the second of its event.
Seen = tuple[str, int]


class _Session(NamedTuple):
    last_ms: int
    page: int | None = None
    host: int | None = None
    #: The counted referrer host, and the own hosts of the site.
    came_from: str | None = None
    own: frozenset[str] = frozenset()


class _PassiveRun(NamedTuple):
    """Passive events only, and their contribution if the session becomes active."""

    last_ms: int
    came_from: str | None = None
    own: frozenset[str] = frozenset()
    visitors: tuple[Seen, ...] = ()


class ActiveSessions:
    """Sessions by the log time of their last event, the least recently active first.

    A session that was idle for longer than the window starts again, without its previous page and
    host. Passive events alone do not make a session active, but belong to it once another event
    arrives.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._passive: OrderedDict[str, _PassiveRun] = OrderedDict()
        self.pages = NameCounts()
        self.referrers = NameCounts()

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
        known = self._sessions.pop(name, None)
        if known is not None and known.last_ms <= log_ms - ACTIVE_MS:
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
            host = self.referrers.move(None, run.came_from)
            known = _Session(run.last_ms, None, host, run.came_from, run.own)
        last_ms, page, host, _, _ = known
        if event.type == "pageview":
            page = self.pages.move(page, path_of(event.path, event.url))
        came_from, own = _origin(known, event)
        if came_from != known.came_from:
            host = self.referrers.move(host, came_from)
        self._sessions[name] = _Session(max(last_ms, log_ms), page, host, came_from, own)
        return visitors

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


def _with_event(run: _PassiveRun, event: RawEvent, seen: Seen, log_ms: int) -> _PassiveRun:
    others = [one for one in run.visitors if one[0] != seen[0]]
    visitors = (*others, seen)[-_MAX_PASSIVE_VISITORS:]
    return _PassiveRun(max(run.last_ms, log_ms), *_origin(run, event), visitors)


def _origin(known: _Session | _PassiveRun, event: RawEvent) -> tuple[str | None, frozenset[str]]:
    """Return the host that a session came from, and the site's own hosts, with an event more.

    The first that came counts, unless it turns out to be one of the site.
    """
    came_from, own = known.came_from, known.own
    if not (named := own_hosts(event)) <= own:
        own = frozenset(with_hosts(sorted(own), named))
        came_from = None if came_from and is_own(came_from, own) else came_from
    if came_from is None and event.referrer:
        came_from = referrer_host(event, own)
    return came_from, own


def _first(held: OrderedDict[str, T]) -> T:
    return next(iter(held.values()))


class NameCounts:
    """The number of sessions per name: a limited number of names with exact counts."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._names: dict[int, str] = {}

    def move(self, old: int | None, name: str | None) -> int | None:
        """Move a session from one name, given by its hash, to another; return the new hash."""
        if old is not None:
            self._counts[old] -= 1
            if not self._counts[old]:
                del self._counts[old]
                self._names.pop(old, None)
        if name is None:
            return None
        shown = name[:MAX_NAME_CHARACTERS]
        new = hash(shown)
        self._counts[new] += 1
        self._names[new] = shown
        if len(self._names) > MAX_NAMES:
            self._evict_rare(new)
        return new

    def top(self) -> Iterator[tuple[str, int]]:
        """Yield the most frequent names and their counts, the highest first."""
        named = ((self._counts[key], name) for key, name in self._names.items())
        for count, name in sorted(named, key=lambda one: (-one[0], one[1]))[:TOP_NAMES]:
            yield name, count

    def _evict_rare(self, just_seen: int) -> None:
        by_count = sorted(self._names, key=self._counts.__getitem__, reverse=True)
        kept = {*by_count[:_KEPT_NAMES], just_seen}
        self._names = {key: name for key, name in self._names.items() if key in kept}
