"""What headrace must come to, computed offline and plainly from the events themselves.

Each function takes a log: accepted events with their place in `events-raw`, in any order
within a partition and with any number of repeats, and returns rows as plain dictionaries by
key, times in microseconds. It shares no rule with the product;
the identity of an error is a parameter, because its rules are many and have tests of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid5

from schemas.headers import Source
from schemas.records import RawEvent

Log = Sequence[tuple[RawEvent, Source]]
Row = dict[str, Any]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

PASSIVE = {"pageleave", "web_vitals"}
#: Who may vouch for an event, the most trusted first.
_LEVELS = ("key", "origin", "open")
_CLIENT = ("country", "region", "browser", "os", "device")

# Public and persistent: rows that are in databases carry ids made with them.
VISIT_IDS = UUID("5d9e33a5-4f0c-5a0e-9f3c-0d2c5a3b7e11")
ALERT_IDS = UUID("a3c2b6de-6a1b-5b8f-8d52-7c1f2b9e4d03")


def counted(log: Log) -> list[tuple[RawEvent, Source]]:
    """Return each event once, where it first stood, in the order of the log.

    An event is its id within its site and session; of several the lowest offset counts.
    """
    first: dict[tuple[str, str, str], Source] = {}
    for event, src in log:
        name = _name(event)
        if name not in first or src.offset < first[name].offset:
            first[name] = src
    once = {(src.partition, src.offset): (event, src) for event, src in reversed(log)}
    return [
        once.pop((src.partition, src.offset))
        for event, src in log
        if first[_name(event)] == src and (src.partition, src.offset) in once
    ]


def included(log: Log) -> list[tuple[RawEvent, Source]]:
    """Return each event once that counts in sessions, durations, live counters and alerts.

    Events of bots do not. Of several with one id, the first decides.
    """
    return [entry for entry in counted(log) if entry[0].excluded is None]


def visits(
    log: Log,
    *,
    gap_us: int = 30 * MINUTE_US,
    close_after_ms: int = 35 * MINUTE_MS,
    now_ms: Mapping[int, int] | None = None,
) -> dict[tuple[str, str, int], Row]:
    """Return the visits by site, session and start: all columns of `sessions` but `revision`.

    Withdrawn ones are not among them. `state` and `close_reason` are there when `now_ms` is:
    the stream time that each partition came to.
    """
    by_session: defaultdict[tuple[str, str], list[tuple[RawEvent, Source]]] = defaultdict(list)
    for event, src in included(log):
        by_session[event.site_id, event.session_id].append((event, src))
    rows = {}
    for session, events in by_session.items():
        for run in _runs(events, gap_us):
            if all(event.type in PASSIVE for event, _ in run):
                continue  # no visit
            row = _visit(run)
            if now_ms is not None:
                last_ms = max(src.log_ms for _, src in run)
                is_closed = now_ms[run[0][1].partition] > last_ms + close_after_ms
                row["state"] = "closed" if is_closed else "open"
                row["close_reason"] = "idle" if is_closed else None
            rows[*session, row["started_at"]] = row
    return rows


def page_durations(log: Log) -> dict[tuple[str, int, str], Row]:
    """Return time on page by site, hour (us) and path: the columns of `page_durations_hourly`.

    `durations` has the single durations (ms) in order, to hold quantiles against.
    """
    by_page: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
    for event, _ in included(log):
        if event.type == "pageleave" and event.duration_ms is not None:
            hour = event.event_ts // HOUR_US * HOUR_US
            page = (event.site_id, hour, page_of(event.path, event.url))
            by_page[page].append(min(event.duration_ms, 6 * HOUR_MS))
    return {
        page: {
            "site_id": page[0],
            "hour": page[1],
            "path": page[2],
            "leaves": len(durations),
            "total_ms": sum(durations),
            "avg_ms": sum(durations) / len(durations),
            "min_ms": min(durations),
            "max_ms": max(durations),
            "durations": tuple(sorted(durations)),
        }
        for page, durations in by_page.items()
    }


def alerts(
    log: Log,
    identity: Callable[[RawEvent], str],
    *,
    share: int = 20,
    until_ms: int | None = None,
) -> dict[str, Row]:
    """Return the alerts by their id, without title and details.

    `identity` returns the fingerprint of an error.

    The log is in the order of `events-alert`, which decides what is new or one too many. Of
    several partitions only payments are sure, and errors while their counts stay low. A site
    has `share` alerts for new errors an hour, and a digest of the others 5 minutes after its
    end, or before if it has a new error in a later hour, unless that is after `until_ms`.
    """
    scan = _AlertScan(identity, share)
    for event, src in included(log):
        if event.received_at - event.event_ts > DAY_US:
            continue
        if event.type == "payment":
            scan.raise_alert("payment", event.session_id, event.event_id, event, src)
        elif event.type == "error":
            scan.see_error(event, src)
    scan.raise_digests(until_ms)
    return scan.raised


class _AlertScan:
    def __init__(self, identity: Callable[[RawEvent], str], share: int) -> None:
        self._identity = identity
        self._share = share
        #: The first event over the share of each site and hour.
        self._over: dict[tuple[str, int], RawEvent] = {}
        self.raised: dict[str, Row] = {}
        self._seen_ms: dict[tuple[str, str], int] = {}
        self._new_in_hour: Counter[tuple[str, int]] = Counter()
        self._hour: defaultdict[str, int] = defaultdict(int)
        self._times: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._rate_ms: dict[tuple[str, str], int] = {}

    def see_error(self, event: RawEvent, src: Source) -> None:
        subject, site = self._identity(event), event.site_id
        error = (site, subject)
        if error not in self._seen_ms or src.log_ms - self._seen_ms[error] > 30 * DAY_MS:
            # Where partitions are not level, the one ahead says what hour it is.
            self._hour[site] = max(self._hour[site], src.log_ms // HOUR_MS)
            self._new_in_hour[site, self._hour[site]] += 1
            if self._new_in_hour[site, self._hour[site]] <= self._share:
                self.raise_alert("error.new", subject, event.event_id, event, src)
                self._seen_ms[error] = max(self._seen_ms.get(error, 0), src.log_ms)
            else:
                self._over.setdefault((site, self._hour[site]), event)
        else:
            self._seen_ms[error] = max(self._seen_ms[error], src.log_ms)

        if not count_error(self._times[error], src.log_ms, 10, 5 * MINUTE_MS):
            return
        paused = error in self._rate_ms and src.log_ms < self._rate_ms[error] + 30 * MINUTE_MS
        if not paused:
            self._rate_ms[error] = src.log_ms
            self.raise_alert("error.rate", subject, event.event_id, event, src)

    def raise_digests(self, until_ms: int | None) -> None:
        for (site, hour), event in self._over.items():
            end_ms = (hour + 1) * HOUR_MS
            is_due = until_ms is None or end_ms + 5 * MINUTE_MS <= until_ms
            if is_due or self._hour[site] > hour:
                end = Source(0, 0, end_ms)
                self.raise_alert("error.new", "more", str(hour * HOUR_MS), event, end)

    def raise_alert(
        self, rule: str, subject: str, occasion: str, event: RawEvent, src: Source
    ) -> None:
        alert_id = str(uuid5(ALERT_IDS, f"{event.site_id}:{rule}:{subject}:{occasion}"))
        self.raised[alert_id] = {
            "alert_id": alert_id,
            "site_id": event.site_id,
            "rule": rule,
            "subject": subject,
            "event_id": event.event_id,
            "raised_at": src.log_ms * 1_000,
        }


def count_error(times: list[int], at_ms: int, count: int, window_ms: int) -> bool:
    """Add a time to those of all errors; return True if it is one of `count` within a window.

    An error that comes more than a window after younger ones is not counted.
    """
    if times and at_ms < max(times) - window_ms:
        return False
    times.append(at_ms)
    starts = [start for start in times if at_ms - window_ms <= start <= at_ms]
    return any(
        sum(start <= time <= start + window_ms for time in times) >= count for start in starts
    )


def page_of(path: str | None, url: str | None) -> str:
    """Return the page of an event: its path, else that of its URL, which is one of the web."""
    if path:
        return path
    parts = urlsplit(url or "")
    if not parts.netloc:
        return "(none)"
    return quote(parts.path or "/", safe="/%:@!$&'()*+,;=~[]|^\\")[:2_048]


def _name(event: RawEvent) -> tuple[str, str, str]:
    return event.event_id.lower(), event.site_id, event.session_id


def _runs(
    events: Iterable[tuple[RawEvent, Source]], gap_us: int
) -> list[list[tuple[RawEvent, Source]]]:
    """Cut the events, by time, wherever two are further apart than the gap."""
    runs: list[list[tuple[RawEvent, Source]]] = []
    for event, src in sorted(events, key=lambda pair: (pair[0].event_ts, pair[0].event_id)):
        if not runs or event.event_ts - runs[-1][-1][0].event_ts > gap_us:
            runs.append([])
        runs[-1].append((event, src))
    return runs


def _visit(run: list[tuple[RawEvent, Source]]) -> Row:
    events = [event for event, _ in run]
    types = [event.type for event in events]
    # What is claimed by the most trusted events wins; among them, what was first.
    trusted = sorted(events, key=lambda event: _LEVELS.index(event.trust))
    pages = [event for event in trusted if event.type == "pageview"]
    last = [event for event in pages if event.trust == pages[0].trust][-1:]
    active = [pair for pair in run if pair[0].type not in PASSIVE]
    named_by = min(active, key=lambda pair: pair[1].offset)[0]
    name = f"{named_by.site_id}:{named_by.session_id}:{named_by.event_id}"
    utms = [event.utm for event in trusted if event.utm]
    own_hosts = {trust: _own_hosts(trust, trusted) for trust in _LEVELS}
    return {
        "visit_id": str(uuid5(VISIT_IDS, name)),
        "site_id": events[0].site_id,
        "session_id": events[0].session_id,
        "visitor_id": _first(event.visitor_id for event in trusted),
        "user_id": _first(event.user_id for event in trusted),
        "started_at": events[0].event_ts,
        "ended_at": events[-1].event_ts,
        "duration_ms": (events[-1].event_ts - events[0].event_ts) // 1_000,
        "events": len(events),
        "pageviews": len(pages),
        "entry_path": page_of(pages[0].path, pages[0].url) if pages else None,
        "exit_path": page_of(last[0].path, last[0].url) if last else None,
        "referrer": _first(
            event.referrer
            for event in trusted
            if _plain_host(event.referrer) not in own_hosts[event.trust]
        ),
        "utm_source": _first(utm.source for utm in utms),
        "utm_medium": _first(utm.medium for utm in utms),
        "utm_campaign": _first(utm.campaign for utm in utms),
        **_attributes(trusted),
        "trust": trusted[0].trust,
        "bounced": len(pages) == 1 and set(types) <= {"pageview", *PASSIVE},
        "errors": types.count("error"),
        "payments": types.count("payment"),
    }


def _own_hosts(trust: str, all_events: Sequence[RawEvent]) -> set[str]:
    """Return the hosts that events with at least this trust name as the site's own.

    Case, port and `www.` do not matter.
    """
    level = _LEVELS.index(trust)
    named_by = [one for one in all_events if _LEVELS.index(one.trust) <= level]
    return {_plain_host(text) for one in named_by for text in (one.hostname, one.url)} - {""}


def _attributes(trusted: Sequence[RawEvent]) -> Row:
    """Return the traffic source of one event, and the place and device of one event.

    Back ends, which have a key, may know neither: what they say is the last resort.
    """
    by_source = sorted(trusted, key=lambda event: event.trust == "key" and not event.source)
    by_device = sorted(
        trusted, key=lambda event: event.trust == "key" and event.device in {None, "other"}
    )
    from_source = (event for event in by_source if event.source or event.channel)
    from_client = (event for event in by_device if any(getattr(event, name) for name in _CLIENT))
    return {
        name: getattr(event, name, None)
        for names, event in (
            (("source", "channel"), next(from_source, None)),
            (_CLIENT, next(from_client, None)),
        )
        for name in names
    }


def _plain_host(address: str | None) -> str:
    authority = (address or "").split("//")[-1].split("/")[0].split("?")[0]
    return authority.lower().split(":")[0].removesuffix(".").removeprefix("www.")


def _first(texts: Iterable[str | None]) -> str | None:
    return next(filter(None, texts), None)
