"""Live counters: when they are published, what counts, and what is evicted."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.headers import Source
from schemas.live import RENEW_SECONDS
from schemas.records import LiveCounters, RawEvent
from streams.domain.live import aggregator as aggregator_module
from streams.domain.live import name_counts
from streams.domain.live import sites as live_sites
from streams.domain.live.aggregator import LiveAggregator
from streams.domain.live.latest import detail_of
from streams.domain.live.name_counts import NameCounts
from streams.domain.sessions.referrers import own_hosts, referrer_host
from tests.unit.streams.live_recount import visitors_of
from tests.unit.streams.samples import DAY_MS, HOUR, NOON, NOON_MS, event, source


class Now:
    """A partition whose events arrive one by one, at times after noon (s)."""

    def __init__(self) -> None:
        self.aggregator = LiveAggregator(3)
        self._offset = 0

    def come(self, *events: RawEvent, at: float = 0) -> None:
        """Process events."""
        for one in events:
            self._offset += 1
            ms = NOON_MS + int(at * 1_000)
            self.aggregator.apply(one, source(self._offset, ms), at * 1_000)

    def published(self, at: float = 0) -> dict[str, LiveCounters]:
        """Return the published counters by site."""
        return {one.site_id: one for one in self.aggregator.due(at * 1_000)}


def test_counters_have_their_partition_and_stream_time() -> None:
    """The last log append time plus the time since then."""
    now = Now()
    now.come(event("a"), at=1)

    counters = now.published(at=3.5)["shop"]

    assert (counters.partition, counters.at_ms) == (3, NOON_MS + 3_500)
    assert [(one.second, one.types) for one in counters.seconds] == [
        (NOON_MS // 1_000 + 1, {"pageview": 1})
    ]


def test_a_tick_advances_stream_time_which_never_decreases() -> None:
    """A delayed record does not change it."""
    aggregator = LiveAggregator(0)
    aggregator.apply(None, source(1, NOON_MS + 5_000), 0.0)
    aggregator.apply(event("a"), source(2, NOON_MS + 1_000), 100.0)

    assert [one.at_ms for one in aggregator.due(200.0)] == [NOON_MS + 5_200]


def test_nothing_is_published_before_the_first_event() -> None:
    """Not even zeros."""
    assert LiveAggregator(0).due(1_000.0) == []


def test_each_window_decays_at_its_own_resolution() -> None:
    """Seconds and visitors by the second, minutes by clock minute, sessions to the ms."""
    now = Now()
    now.come(event("a"), at=0.4)
    seen = []
    for at in (0.4, 59.9, 60.0, 299.9, 300.0, 300.3, 300.4, 1_799.9, 1_800.0):
        # Counters are published again when they change.
        one = now.published(at)["shop"] if at in {0.4, 60.0, 300.0, 300.4, 1_800.0} else None
        if one is not None:
            windows = (one.seconds, one.minutes, one.sessions, one.visitors)
            seen.append(tuple(map(bool, windows)))

    assert seen == [
        (True, True, True, True),
        (False, True, True, True),
        (False, True, True, False),
        (False, True, False, False),
        (False, False, False, False),
    ]


def test_unchanged_counters_are_published_again() -> None:
    """So readers can distinguish a site without events from one that is not counted any more."""
    now = Now()
    now.come(event("a"), event("b", site_id="blog"))
    assert set(now.published()) == {"shop", "blog"}
    assert "blog" not in now.published(at=RENEW_SECONDS - 1)

    assert now.published(at=RENEW_SECONDS)["blog"].sessions == 1
    assert not now.published(at=RENEW_SECONDS + 1)


def test_counters_are_complete_once_every_known_site_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New sites, of which more may always follow, do not delay it. An empty partition is."""
    monkeypatch.setattr(aggregator_module, "MAX_PUBLISHED", 2)
    now = Now()
    seen: list[tuple[set[str], bool]] = [(set(), now.aggregator.has_published_all)]
    for site in ("a", "b", "c"):
        now.come(event(1, site_id=site))
    for site in ("a", "b", "c"):
        now.come(event(2, site_id=site), at=60)
    now.come(*(event(0, site_id=f"new-{number}") for number in range(9)), at=60)
    seen += [(set(now.published(60)), now.aggregator.has_published_all) for _ in range(2)]

    assert seen == [(set(), True), ({"a", "b"}, False), ({"c", "new-0"}, True)]


@pytest.mark.parametrize("types", [["pageleave"], ["web_vitals", "pageleave"]])
def test_passive_events_alone_are_not_a_session(types: list[str]) -> None:
    """They count as events only, until an active event arrives."""
    now = Now()
    for name in types:
        now.come(event(name, type=name, visitor_id="v", referrer="https://search.example/"), at=1)

    counters = now.published(at=1)["shop"]
    assert sum(one.events for one in counters.minutes) == len(types)
    assert (counters.sessions, counters.visitors, counters.pages, counters.referrers) == (
        0,
        b"",
        [],
        [],
    )

    now.come(event("p", type="pageview", path="/a", visitor_id=None, session_id="other"), at=2)
    now.come(event("q", type="pageview", path="/a"), at=2)
    counters = now.published(at=2)["shop"]
    assert (counters.sessions, round(visitors_of([counters]))) == (2, 3)
    assert [(one.name, one.sessions) for one in counters.referrers] == [("search.example", 1)]


def test_a_passive_event_extends_a_session_but_does_not_start_it_again() -> None:
    """A visitor who leaves a page after a long pause is not there any more."""
    now = Now()
    now.come(event("a"), at=0)
    now.come(event("b", type="web_vitals"), at=299)
    assert now.published(at=598)["shop"].sessions == 1

    now.come(event("c", type="pageleave"), at=599)
    assert now.published(at=599)["shop"].sessions == 0


def test_a_flood_of_passive_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It evicts no counted session, not even of its own site."""
    monkeypatch.setattr(live_sites, "MAX_SESSIONS", 3_000)
    now = Now()
    now.come(*(event(0, session_id=f"s-{number}") for number in range(900)))
    for number in range(6_000):
        now.come(event(0, type="pageleave", session_id=f"p-{number}"))

    sessions = next(iter(now.aggregator.sites)).windows.sessions
    assert now.published()["shop"].sessions == 900
    assert sessions.held <= 3_000 + 1_000


@pytest.mark.parametrize(("age_us", "sites"), [(24 * HOUR, ["shop"]), (24 * HOUR + 1, [])])
def test_old_events_of_imports_are_not_live(age_us: int, sites: list[str]) -> None:
    """Events that were more than a day old on arrival."""
    now = Now()
    now.come(event("a", event_ts=NOON - age_us, received_at=NOON))

    assert list(now.published()) == sites


def test_offsets_of_different_source_partitions_are_independent() -> None:
    """The same offset of another partition is another event."""
    aggregator = LiveAggregator(0)
    for partition in (0, 1, 0):
        aggregator.apply(event(partition), Source(partition, 7, NOON_MS), 0.0)

    assert [sum(one.events for one in counters.minutes) for counters in aggregator.due(0.0)] == [2]


def test_visitors_of_four_partitions_merge_within_two_per_cent() -> None:
    """10,000 visitors with sessions in two partitions each."""
    aggregators = [LiveAggregator(partition) for partition in range(4)]
    for number in range(20_000):
        partition = number % 4 if number < 10_000 else (number + 1) % 4
        visit = event(number, session_id=f"s-{number}", visitor_id=f"v-{number % 10_000}")
        at_ms = number // 100
        aggregators[partition].apply(visit, source(number, NOON_MS + at_ms), float(at_ms))

    counters = [one for aggregator in aggregators for one in aggregator.due(1_000.0)]

    assert visitors_of(counters) == pytest.approx(10_000, rel=0.02)
    assert sum(one.sessions for one in counters) == 20_000


def test_the_fifty_pages_with_most_sessions_are_published() -> None:
    """In order of sessions, then of names."""
    now = Now()
    for page in range(60):
        for session in range(2 if page == 59 else 1):
            now.come(event(0, path=f"/{page:02}", session_id=f"s-{page}-{session}"))

    pages = now.published()["shop"].pages

    assert [(one.name, one.sessions) for one in pages[:3]] == [("/59", 2), ("/00", 1), ("/01", 1)]
    assert len(pages) == 50


@pytest.mark.parametrize(
    ("referrer", "more", "host"),
    [
        ("https://Search.Example/q?x", {}, "search.example"),
        ("search.example", {}, "search.example"),
        ("https://shop.example/", {"hostname": "Shop.example"}, None),
        ("https://shop.example/", {"url": "https://shop.example/buy"}, None),
        ("https://[bad/", {}, None),
        ("", {}, None),
        (None, {}, None),
    ],
)
def test_a_referrer_is_a_host_that_is_not_the_sites_own(
    referrer: str | None, more: dict[str, str], host: str | None
) -> None:
    """Links between pages of a site have its own host as referrer."""
    one = event("a", referrer=referrer, **more)
    assert referrer_host(one, own_hosts(one)) == host


def test_a_host_that_turns_out_to_be_the_sites_own_is_no_referrer() -> None:
    """A later event of the session contains the host. Then the next referrer counts."""
    now = Now()
    now.come(event("a", referrer="https://pay.example/", hostname="shop.example"))
    assert [one.name for one in now.published()["shop"].referrers] == ["pay.example"]
    now.come(event("b", referrer="https://www.shop.example/", hostname="pay.example"))
    assert now.published()["shop"].referrers == []
    now.come(event("c", referrer="https://search.example/", hostname="pay.example"))
    assert [one.name for one in now.published()["shop"].referrers] == ["search.example"]


def test_a_flood_of_site_ids_evicts_no_known_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """New sites evict each other, and the memory is bounded."""
    monkeypatch.setattr(live_sites, "MAX_SITES", 40)
    monkeypatch.setattr(live_sites, "MAX_SETTLED", 30)
    now = Now()
    now.come(event(1))
    now.come(event(2), at=60)
    for number in range(1_000):
        now.come(event(number, site_id=f"flood-{number}"), at=60)
        now.come(*[event(number, site_id=f"twice-{number}")] * 2, at=60)

    counters = now.published(60)
    assert sum(one.events for one in counters["shop"].minutes) == 2
    assert len(counters) == len(now.aggregator) == 40


def test_earlier_floods_do_not_block_a_new_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three times the limit of sites with events in several minutes, then a site's first event."""
    monkeypatch.setattr(live_sites, "MAX_SITES", 1_000)
    monkeypatch.setattr(live_sites, "MAX_SETTLED", 750)
    now = Now()
    for minute in range(3):
        flood = (event(0, site_id=f"flood-{number}") for number in range(3_000))
        now.come(*flood, at=60 * minute)
    now.come(event(1), at=181)
    now.come(*(event(0, site_id=f"late-{number}") for number in range(225)), at=182)

    names: set[str] = set()
    while counters := now.published(182):
        names |= counters.keys()
    assert "shop" in names
    now.come(event(2), at=600)
    now.come(*(event(0, site_id=f"again-{number}") for number in range(3_000)), at=601)
    while counters := now.published(601):
        names |= counters.keys()
        if "shop" in counters:
            assert sum(one.events for one in counters["shop"].minutes) == 2
    assert len(now.aggregator) <= 1_000
    assert "again-2999" in names


def test_known_sites_are_published_first_when_too_many_are_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others follow."""
    monkeypatch.setattr(aggregator_module, "MAX_PUBLISHED", 3)
    now = Now()
    now.come(event(1))
    now.come(*(event(0, site_id=f"new-{number}") for number in range(4)), at=60)
    now.come(event(2), at=60)

    assert list(now.published(60)) == ["shop", "new-0", "new-1"]
    now.come(event(3), at=60)
    assert list(now.published(60)) == ["shop", "new-2", "new-3"]


def test_a_flood_of_sessions_evicts_sessions_of_its_own_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Idle ones first. The limit is checked every thousand events."""
    monkeypatch.setattr(live_sites, "MAX_SESSIONS", 3_000)
    now = Now()
    now.come(*(event(0, session_id=f"s-{number}") for number in range(900)))
    for number in range(6_000):
        now.come(event(0, site_id="flood", session_id=f"s-{number}", path=f"/{number}"))

    counters = now.published()
    assert counters["shop"].sessions == 900
    assert counters["flood"].sessions <= 3_000 - 900 + 1_000
    assert counters["flood"].pages[0].sessions == 1


def test_a_flood_of_paths_evicts_no_visited_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rare names are evicted, their counts stay: a page that returns has its full count."""
    monkeypatch.setattr(name_counts, "MAX_NAMES", 100)
    monkeypatch.setattr(name_counts, "_KEPT_NAMES", 50)
    names = NameCounts()
    names.move(None, "/early")
    for _ in range(3):
        names.move(None, "/buy")
    flood = [names.move(None, f"/{number}") for number in range(1_000)]
    names.move(None, "/early")

    assert list(names.top())[:2] == [("/buy", 3), ("/early", 2)]
    assert len(names._names) <= 100  # noqa: SLF001 - what is held is the point
    for one in flood:
        names.move(one, None)
    assert list(names.top()) == [("/buy", 3), ("/early", 2)]


def test_a_long_name_is_truncated() -> None:
    """The first 256 characters."""
    now = Now()
    now.come(event(0, path="/" + "x" * 2_000))

    assert now.published()["shop"].pages[0].name == "/" + "x" * 255


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"path": "/buy"}, "/buy"),
        ({"type": "payment", "amount": Decimal("12.500000"), "currency": "EUR"}, "12.50 EUR"),
        ({"type": "payment", "amount": Decimal("1000.000000"), "currency": "JPY"}, "1,000 JPY"),
        ({"type": "payment", "amount": Decimal(600)}, "600.00"),
        ({"type": "payment"}, "(none)"),
        ({"type": "error", "error_name": "TypeError", "error_message": "x"}, "TypeError: x"),
        ({"type": "custom_event", "event_name": "plan_chosen"}, "plan_chosen"),
        ({"type": "button_click", "event_name": "buy", "path": "/cart"}, "buy"),
        ({"type": "form_submit", "event_name": "signup", "path": "/join"}, "signup"),
        ({"type": "form_submit", "path": "/join"}, "/join"),
        (
            {"type": "external_link", "url": "https://elsewhere.example/"},
            "https://elsewhere.example/",
        ),
        (
            {"type": "external_link", "path": "/", "properties": '{"href": "https://a.example/b"}'},
            "https://a.example/b",
        ),
        ({"type": "external_link", "path": "/here", "properties": '{"href": 1}'}, "/here"),
        ({"path": "/" + "x" * 999}, "/" + "x" * 119),
    ],
)
def test_the_detail_of_an_event_depends_on_its_type(given: dict[str, Any], detail: str) -> None:
    """By default it is the page. Long texts are truncated."""
    assert detail_of(event("a", **{"path": None, **given})) == detail


def test_windows_are_bounded_while_nothing_is_published() -> None:
    """As while a worker catches up with half an hour."""
    now = Now()
    for second in range(0, 2 * DAY_MS // 1_000, 600):
        now.come(event(0), at=second)

    counters = now.published(at=second)["shop"]
    assert len(counters.seconds) == 1
    assert len(counters.minutes) == 3
