from query_api.live import equal_except_time, latest, merge
from schemas.records import (
    CountryCount,
    DeviceCount,
    LatestEvent,
    LiveCounters,
    MinuteCount,
    PageCount,
    ReferrerCount,
    SecondCount,
    SourceCount,
)
from schemas.visitor_sketch import coupon_of, pack

#: 2026-04-01T12:00:30.500Z.
NOW_MS = 1_775_044_830_500
SECOND = NOW_MS // 1_000
MINUTE = NOW_MS // 60_000


def partial(partition: int = 0, visitors: range = range(0), **fields: object) -> LiveCounters:
    """Return the live counters of one partition."""
    defaults = {
        "site_id": "shop",
        "at_ms": NOW_MS,
        "seconds": [],
        "minutes": [],
        "sessions": 0,
        "pages": [],
        "referrers": [],
    }
    sketch = pack({coupon_of(str(visitor)) for visitor in visitors})
    return LiveCounters(**{**defaults, "partition": partition, "visitors": sketch, **fields})  # type: ignore[arg-type]


def test_all_counters_of_an_unknown_site_are_zero() -> None:
    """All fields are present."""
    assert merge("nobody", [], NOW_MS) == {
        "site_id": "nobody",
        "at": "2026-04-01T12:00:30.500Z",
        "visitors_now": 0,
        "sessions_now": 0,
        "events_last_minute": {},
        "per_minute": [0] * 30,
        "pages": [],
        "referrers": [],
        "countries": [],
        "devices": [],
        "sources": [],
    }


def test_events_of_the_last_sixty_seconds_are_added_by_type() -> None:
    """Older seconds are excluded, those ahead of the clock are included."""
    parts = [
        partial(0, seconds=[SecondCount(SECOND - 60, {"copy": 1}), _pageviews(SECOND - 59, 2)]),
        partial(1, seconds=[_pageviews(SECOND, 3), SecondCount(SECOND + 1, {"error": 1})]),
    ]

    assert merge("shop", parts, NOW_MS)["events_last_minute"] == {"error": 1, "pageview": 5}


def test_minutes_are_ordered_and_end_with_the_current_one() -> None:
    """Older ones are excluded; those ahead of the clock count in the last one."""
    parts = [
        partial(0, minutes=[MinuteCount(MINUTE - 30, 9), MinuteCount(MINUTE - 29, 1)]),
        partial(1, minutes=[MinuteCount(MINUTE, 4), MinuteCount(MINUTE + 1, 2)]),
    ]

    assert merge("shop", parts, NOW_MS)["per_minute"] == [1, *[0] * 28, 6]


def test_sessions_are_added_and_visitors_counted_once() -> None:
    """A visitor with sessions in two partitions is one."""
    parts = [partial(0, range(60), sessions=70), partial(1, range(40, 100), sessions=70)]

    live = merge("shop", parts, NOW_MS)

    assert (live["sessions_now"], live["visitors_now"]) == (140, 100)


def test_pages_and_referrers_are_added_and_limited_to_fifty() -> None:
    """Ordered by sessions, then by name."""
    pages = [PageCount(f"/{number:02}", 1) for number in range(60)]
    parts = [
        partial(0, pages=pages, referrers=[ReferrerCount("b.example", 2)]),
        partial(1, pages=[PageCount("/59", 5)], referrers=[ReferrerCount("a.example", 2)]),
    ]

    live = merge("shop", parts, NOW_MS)

    assert live["pages"][:2] == [{"path": "/59", "sessions": 6}, {"path": "/00", "sessions": 1}]
    assert len(live["pages"]) == 50
    assert [referrer["host"] for referrer in live["referrers"]] == ["a.example", "b.example"]


def test_countries_devices_and_sources_are_added_and_limited_to_fifty() -> None:
    """A partition whose worker has an earlier version has none."""
    sources = [SourceCount(f"{number:02}", 1) for number in range(60)]
    countries, devices = [CountryCount("AT", 2)], [DeviceCount("tv", 1)]
    parts = [
        partial(0, countries=countries, devices=devices, sources=sources),
        partial(1, countries=[CountryCount("DE", 4), *countries]),
        partial(2),
    ]

    live = merge("shop", parts, NOW_MS)

    assert live["countries"] == [
        {"country": "AT", "sessions": 4},
        {"country": "DE", "sessions": 4},
    ]
    assert live["devices"] == [{"device": "tv", "sessions": 1}]
    assert live["sources"] == [{"source": f"{n:02}", "sessions": 1} for n in range(50)]


def test_the_latest_events_of_all_partitions_are_newest_first() -> None:
    """Limited to ten."""
    (old, new) = (LatestEvent(NOW_MS - 1, "copy", "/"), LatestEvent(NOW_MS, "payment", "5 EUR"))
    parts = [partial(0, latest=[old] * 9), partial(1, latest=[new, old])]

    events = latest(parts)

    assert events[0] == {"at": "2026-04-01T12:00:30.500Z", "type": "payment", "detail": "5 EUR"}
    assert [event["type"] for event in events] == ["payment", *["copy"] * 9]


def test_the_order_of_partitions_does_not_matter() -> None:
    """Not even for visitors."""
    parts = [partial(number, range(number * 500, 2_000), sessions=number) for number in range(4)]

    assert merge("shop", parts, NOW_MS) == merge("shop", parts[::-1], NOW_MS)


def test_snapshots_are_compared_without_their_time() -> None:
    """A different counter is a change."""
    snapshot = merge("shop", [partial(sessions=1)], NOW_MS)

    assert equal_except_time(snapshot, merge("shop", [partial(sessions=1)], NOW_MS + 1))
    assert not equal_except_time(snapshot, merge("shop", [partial(sessions=2)], NOW_MS))


def _pageviews(second: int, count: int) -> SecondCount:
    return SecondCount(second, {"pageview": count})
