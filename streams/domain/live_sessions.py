"""The sessions of the last minutes, exactly; the page each is on and the host it came from."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from schemas.live import ACTIVE_SECONDS, TOP_NAMES
from schemas.paths import path_of
from schemas.records import RawEvent

ACTIVE_MS = ACTIVE_SECONDS * 1_000

#: Names of one kind that a site keeps; the rarest of more leave. What is counted is not the
#: name but its hash, so a name that left has its whole count when it comes again.
MAX_NAMES = 1_000
#: A name is told so far.
MAX_NAME_CHARACTERS = 256

_KEPT_NAMES = MAX_NAMES // 2


class _Session(NamedTuple):
    last_ms: int
    page: int | None = None
    host: int | None = None


class ActiveSessions:
    """Sessions by the log time of their last event, the longest silent first.

    A session that was silent for longer than the window begins anew: its page and host are
    those of what it does from then on.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self.pages = NameCounts()
        self.referrers = NameCounts()

    def __len__(self) -> int:
        return len(self._sessions)

    def apply(self, event: RawEvent, log_ms: int) -> None:
        """Note an event; log times come in their order."""
        known = self._sessions.pop(event.session_id, None)
        if known is not None and known.last_ms <= log_ms - ACTIVE_MS:
            self._leave(known)
            known = None
        last_ms, page, host = known or _Session(log_ms)
        if event.type == "pageview":
            page = self.pages.move(page, path_of(event.path, event.url))
        if host is None and event.referrer:
            host = self.referrers.move(None, referrer_host(event))
        self._sessions[event.session_id] = _Session(max(last_ms, log_ms), page, host)

    def decay(self, now_ms: int) -> bool:
        """Forget the sessions that are over; True when there were any."""
        before = len(self._sessions)
        while self._sessions and self._oldest.last_ms <= now_ms - ACTIVE_MS:
            self.forget_oldest()
        return len(self._sessions) < before

    def forget_oldest(self) -> None:
        """Forget the session that was silent for longest."""
        (_, session) = self._sessions.popitem(last=False)
        self._leave(session)

    @property
    def next_decay_ms(self) -> int | None:
        """When the next session is over; None without any."""
        return self._oldest.last_ms + ACTIVE_MS if self._sessions else None

    @property
    def _oldest(self) -> _Session:
        return next(iter(self._sessions.values()))

    def _leave(self, session: _Session) -> None:
        self.pages.move(session.page, None)
        self.referrers.move(session.host, None)


class NameCounts:
    """How many sessions have each name; bounded in names, exact in counts."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._names: dict[int, str] = {}

    def move(self, old: int | None, name: str | None) -> int | None:
        """Take a session from a name, by its hash, to another; returns the other's hash."""
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
            self._forget_rare(new)
        return new

    def top(self) -> Iterator[tuple[str, int]]:
        """Yield the most frequent names and their counts, most sessions first."""
        named = ((self._counts[key], name) for key, name in self._names.items())
        for count, name in sorted(named, key=lambda one: (-one[0], one[1]))[:TOP_NAMES]:
            yield name, count

    def _forget_rare(self, just_seen: int) -> None:
        by_count = sorted(self._names, key=self._counts.__getitem__, reverse=True)
        kept = {*by_count[:_KEPT_NAMES], just_seen}
        self._names = {key: name for key, name in self._names.items() if key in kept}


def referrer_host(event: RawEvent) -> str | None:
    """Return the host that an event's visitor came from; None for the site's own, and for none."""
    host = _host(event.referrer)
    own = (event.hostname or "").lower() or _host(event.url)
    return None if host == own else host


def _host(url: str | None) -> str | None:
    if not url:
        return None
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:  # such as an unbalanced [ in the host
        return None
