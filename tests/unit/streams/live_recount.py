"""Live counters by a recount of the whole log, and those of a record in the same form."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from schemas.headers import Source
from schemas.paths import path_of
from schemas.records import LiveCounters, RawEvent
from schemas.visitor_sketch import estimate

PASSIVE = {"pageleave", "web_vitals"}
_ACTIVE_MS = 300_000
#: Names by session: the first name of the session counts.
_LABELS = {"countries": "country", "devices": "device", "sources": "source"}
Counted = tuple[RawEvent, Source]


def recount(log: Iterable[Counted], site_id: str, now_ms: int) -> dict[str, Any]:
    """Return a site's numbers at a time; each position in the log counts once."""
    events = list(_once(log, site_id))
    seconds = [(src.log_ms // 1_000, event.type) for event, src in events]
    minutes = [src.log_ms // 60_000 for _, src in events]
    visitors = {
        event.visitor_id or event.session_id
        for event, src in _of_active_runs(events)
        if src.log_ms // 1_000 > now_ms // 1_000 - 300
    }
    runs = list(_active_runs(events, now_ms))
    return {
        "seconds": Counter(one for one in seconds if one[0] > now_ms // 1_000 - 60),
        "minutes": Counter(one for one in minutes if one > now_ms // 60_000 - 30),
        "sessions": len(runs),
        "visitors": len(visitors),
        "pages": Counter(page for run in runs if (page := _page(run)) is not None),
        "referrers": Counter(host for run in runs if (host := _host(run)) is not None),
        **{
            names: Counter(filter(None, (_first(run, name) for run in runs)))
            for names, name in _LABELS.items()
        },
        "latest": [
            (src.log_ms, event.type)
            for event, src in reversed(events[-10:])
            if src.log_ms // 60_000 > now_ms // 60_000 - 30
        ],
    }


def numbers_of(counters: LiveCounters | None) -> dict[str, Any]:
    """Return the numbers of a record in the same form; zeros for None."""
    if counters is None:
        return recount((), "", 0)
    return {
        "seconds": Counter(
            {(one.second, name): n for one in counters.seconds for name, n in one.types.items()}
        ),
        "minutes": Counter({one.minute: one.events for one in counters.minutes}),
        "sessions": counters.sessions,
        "visitors": round(visitors_of([counters])),
        "pages": Counter({one.name: one.sessions for one in counters.pages}),
        "referrers": Counter({one.name: one.sessions for one in counters.referrers}),
        **{
            names: Counter({one.name: one.sessions for one in getattr(counters, names)})
            for names in _LABELS
        },
        "latest": [(one.at_ms, one.type) for one in counters.latest],
    }


def visitors_of(counters: Iterable[LiveCounters]) -> float:
    """Return the number of visitors of several partitions, merged as `query_api` does."""
    return estimate(one.visitors for one in counters)


def _once(log: Iterable[Counted], site_id: str) -> Iterator[Counted]:
    seen = set()
    for event, src in log:
        if src.offset not in seen and event.site_id == site_id:
            seen.add(src.offset)
            yield event, src


def _active_runs(events: Sequence[Counted], now_ms: int) -> Iterator[list[RawEvent]]:
    """Yield the events of each session since its last pause that is longer than the window."""
    for session_id in {event.session_id for event, _ in events}:
        run: list[RawEvent] = []
        before_ms = now_ms
        for event, src in reversed(events):
            if event.session_id != session_id:
                continue
            if src.log_ms <= before_ms - _ACTIVE_MS:
                break
            run.insert(0, event)
            before_ms = src.log_ms
        if any(event.type not in PASSIVE for event in run):
            yield run


def _of_active_runs(events: Sequence[Counted]) -> Iterator[Counted]:
    """Yield the events of the runs that contain an active event."""
    for session_id in {event.session_id for event, _ in events}:
        run: list[Counted] = []
        for event, src in (one for one in events if one[0].session_id == session_id):
            if run and src.log_ms >= run[-1][1].log_ms + _ACTIVE_MS:
                yield from _if_active(run)
                run = []
            run.append((event, src))
        yield from _if_active(run)


def _if_active(run: Sequence[Counted]) -> Sequence[Counted]:
    return run if any(event.type not in PASSIVE for event, _ in run) else ()


def _page(run: Sequence[RawEvent]) -> str | None:
    views = [path_of(event.path, event.url) for event in run if event.type == "pageview"]
    return views[-1] if views else None


def _host(run: Sequence[RawEvent]) -> str | None:
    hosts = [event.referrer.split("/")[2] for event in run if event.referrer]
    return hosts[0] if hosts else None


def _first(run: Sequence[RawEvent], name: str) -> str | None:
    values = [value for event in run if (value := getattr(event, name))]
    return values[0] if values else None
