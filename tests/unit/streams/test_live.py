"""Live counters: what is told when, what counts, and what gives way."""

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
    """A partition to which events come, one after another, at times after noon (seconds)."""

    def __init__(self) -> None:
        self.aggregator = LiveAggregator(3)
        self._offset = 0

    def come(self, *events: RawEvent, at: float = 0) -> None:
        """Have events come."""
        for one in events:
            self._offset += 1
            ms = NOON_MS + int(at * 1_000)
            self.aggregator.apply(one, source(self._offset, ms), at * 1_000)

    def told(self, at: float = 0) -> dict[str, LiveCounters]:
        """Return what is told, by site."""
        return {one.site_id: one for one in self.aggregator.due(at * 1_000)}


def test_counters_name_their_partition_and_stream_time_that_goes_on() -> None:
    """The last log time, and what passed since."""
    now = Now()
    now.come(event("a"), at=1)

    told = now.told(at=3.5)["shop"]

    assert (told.partition, told.at_ms) == (3, NOON_MS + 3_500)
    assert [(one.second, one.types) for one in told.seconds] == [
        (NOON_MS // 1_000 + 1, {"pageview": 1})
    ]


def test_a_tick_says_what_time_it_is_and_time_never_goes_back() -> None:
    """A record that was long on its way changes nothing."""
    aggregator = LiveAggregator(0)
    aggregator.apply(None, source(1, NOON_MS + 5_000), 0.0)
    aggregator.apply(event("a"), source(2, NOON_MS + 1_000), 100.0)

    assert [one.at_ms for one in aggregator.due(200.0)] == [NOON_MS + 5_200]


def test_nothing_is_told_before_anything_came() -> None:
    """Not even zeros."""
    assert LiveAggregator(0).due(1_000.0) == []


def test_each_window_decays_at_its_own_time() -> None:
    """Seconds and visitors by the second, minutes by the clock's minute, sessions to the ms."""
    now = Now()
    now.come(event("a"), at=0.4)
    seen = []
    for at in (0.4, 59.9, 60.0, 299.9, 300.0, 300.3, 300.4, 1_799.9, 1_800.0):
        # What is renewed is told, too: a reader has the newest.
        one = now.told(at)["shop"] if at in {0.4, 60.0, 300.0, 300.4, 1_800.0} else None
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


def test_what_did_not_change_is_told_again_in_time() -> None:
    """So that a reader can tell a silent site from one that is counted no more."""
    now = Now()
    now.come(event("a"), event("b", site_id="blog"))
    assert set(now.told()) == {"shop", "blog"}
    assert "blog" not in now.told(at=RENEW_SECONDS - 1)

    assert now.told(at=RENEW_SECONDS)["blog"].sessions == 1
    assert not now.told(at=RENEW_SECONDS + 1)


def test_all_was_told_once_every_known_site_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newcomers, of whom there may always be more, do not delay that; an empty partition has."""
    monkeypatch.setattr(aggregator_module, "MAX_PUBLISHED", 2)
    now = Now()
    seen: list[tuple[set[str], bool]] = [(set(), now.aggregator.has_published_all)]
    for site in ("a", "b", "c"):
        now.come(event(1, site_id=site))
    for site in ("a", "b", "c"):
        now.come(event(2, site_id=site), at=60)
    now.come(*(event(0, site_id=f"new-{number}") for number in range(9)), at=60)
    seen += [(set(now.told(60)), now.aggregator.has_published_all) for _ in range(2)]

    assert seen == [(set(), True), ({"a", "b"}, False), ({"c", "new-0"}, True)]


@pytest.mark.parametrize("types", [["pageleave"], ["web_vitals", "pageleave"]])
def test_passive_events_alone_are_nobody_there(types: list[str]) -> None:
    """They are events, but no session, visitor or referrer, until another event comes."""
    now = Now()
    for name in types:
        now.come(event(name, type=name, visitor_id="v", referrer="https://search.example/"), at=1)

    told = now.told(at=1)["shop"]
    assert sum(one.events for one in told.minutes) == len(types)
    assert (told.sessions, told.visitors, told.pages, told.referrers) == (0, b"", [], [])

    now.come(event("p", type="pageview", path="/a", visitor_id=None, session_id="other"), at=2)
    now.come(event("q", type="pageview", path="/a"), at=2)
    told = now.told(at=2)["shop"]
    assert (told.sessions, round(visitors_of([told]))) == (2, 3)
    assert [(one.name, one.sessions) for one in told.referrers] == [("search.example", 1)]


def test_a_passive_event_keeps_a_session_but_does_not_bring_it_back() -> None:
    """Who leaves a page after a long silence is gone."""
    now = Now()
    now.come(event("a"), at=0)
    now.come(event("b", type="web_vitals"), at=299)
    assert now.told(at=598)["shop"].sessions == 1

    now.come(event("c", type="pageleave"), at=599)
    assert now.told(at=599)["shop"].sessions == 0


def test_a_flood_of_passive_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves no session that counts, not even of its own site."""
    monkeypatch.setattr(live_sites, "MAX_SESSIONS", 3_000)
    now = Now()
    now.come(*(event(0, session_id=f"s-{number}") for number in range(900)))
    for number in range(6_000):
        now.come(event(0, type="pageleave", session_id=f"p-{number}"))

    sessions = next(iter(now.aggregator._sites)).windows.sessions  # noqa: SLF001 - what is held
    assert now.told()["shop"].sessions == 900
    assert sessions.held <= 3_000 + 1_000


@pytest.mark.parametrize(("age_us", "sites"), [(24 * HOUR, ["shop"]), (24 * HOUR + 1, [])])
def test_old_events_of_imports_are_not_live(age_us: int, sites: list[str]) -> None:
    """More than a day old when they arrived."""
    now = Now()
    now.come(event("a", event_ts=NOON - age_us, received_at=NOON))

    assert list(now.told()) == sites


def test_offsets_are_told_apart_by_their_source_partition() -> None:
    """The same offset of another partition is another event."""
    aggregator = LiveAggregator(0)
    for partition in (0, 1, 0):
        aggregator.apply(event(partition), Source(partition, 7, NOON_MS), 0.0)

    assert [sum(one.events for one in told.minutes) for told in aggregator.due(0.0)] == [2]


def test_visitors_of_four_partitions_merge_within_two_per_cent() -> None:
    """10,000 who each have sessions in two of them."""
    aggregators = [LiveAggregator(partition) for partition in range(4)]
    for number in range(20_000):
        partition = number % 4 if number < 10_000 else (number + 1) % 4
        visit = event(number, session_id=f"s-{number}", visitor_id=f"v-{number % 10_000}")
        at_ms = number // 100
        aggregators[partition].apply(visit, source(number, NOON_MS + at_ms), float(at_ms))

    told = [one for aggregator in aggregators for one in aggregator.due(1_000.0)]

    assert visitors_of(told) == pytest.approx(10_000, rel=0.02)
    assert sum(one.sessions for one in told) == 20_000


def test_fifty_pages_are_told_the_fullest_first() -> None:
    """Those of as many sessions by their name."""
    now = Now()
    for page in range(60):
        for session in range(2 if page == 59 else 1):
            now.come(event(0, path=f"/{page:02}", session_id=f"s-{page}-{session}"))

    pages = now.told()["shop"].pages

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
    """From one page to the next, the site refers to itself."""
    one = event("a", referrer=referrer, **more)
    assert referrer_host(one, own_hosts(one)) == host


def test_a_host_that_turns_out_to_be_the_sites_own_is_no_referrer() -> None:
    """A later event of the session names it; then the next referrer counts."""
    now = Now()
    now.come(event("a", referrer="https://pay.example/", hostname="shop.example"))
    assert [one.name for one in now.told()["shop"].referrers] == ["pay.example"]
    now.come(event("b", referrer="https://www.shop.example/", hostname="pay.example"))
    assert now.told()["shop"].referrers == []
    now.come(event("c", referrer="https://search.example/", hostname="pay.example"))
    assert [one.name for one in now.told()["shop"].referrers] == ["search.example"]


def test_a_flood_of_site_ids_moves_no_site_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """They contend among themselves, and what is held does not grow."""
    monkeypatch.setattr(live_sites, "MAX_SITES", 40)
    monkeypatch.setattr(live_sites, "MAX_SETTLED", 30)
    now = Now()
    now.come(event(1))
    now.come(event(2), at=60)
    for number in range(1_000):
        now.come(event(number, site_id=f"flood-{number}"), at=60)
        now.come(*[event(number, site_id=f"twice-{number}")] * 2, at=60)

    told = now.told(60)
    assert sum(one.events for one in told["shop"].minutes) == 2
    assert len(told) == len(now.aggregator) == 40


def test_sites_invented_before_block_no_site_that_becomes_active(
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
    while told := now.told(182):
        names |= told.keys()
    assert "shop" in names
    now.come(event(2), at=600)
    now.come(*(event(0, site_id=f"again-{number}") for number in range(3_000)), at=601)
    while told := now.told(601):
        names |= told.keys()
        if "shop" in told:
            assert sum(one.events for one in told["shop"].minutes) == 2
    assert len(now.aggregator) <= 1_000
    assert "again-2999" in names


def test_known_sites_are_told_first_when_too_many_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told next."""
    monkeypatch.setattr(aggregator_module, "MAX_PUBLISHED", 3)
    now = Now()
    now.come(event(1))
    now.come(*(event(0, site_id=f"new-{number}") for number in range(4)), at=60)
    now.come(event(2), at=60)

    assert list(now.told(60)) == ["shop", "new-0", "new-1"]
    now.come(event(3), at=60)
    assert list(now.told(60)) == ["shop", "new-2", "new-3"]


def test_a_flood_of_sessions_takes_from_its_own_site_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The silent ones first; the bound is looked at every thousand events."""
    monkeypatch.setattr(live_sites, "MAX_SESSIONS", 3_000)
    now = Now()
    now.come(*(event(0, session_id=f"s-{number}") for number in range(900)))
    for number in range(6_000):
        now.come(event(0, site_id="flood", session_id=f"s-{number}", path=f"/{number}"))

    told = now.told()
    assert told["shop"].sessions == 900
    assert told["flood"].sessions <= 3_000 - 900 + 1_000
    assert told["flood"].pages[0].sessions == 1


def test_a_flood_of_paths_moves_no_page_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rare names are forgotten, their counts are not: a page that comes again has its number."""
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


def test_a_long_name_is_told_in_part() -> None:
    """The first 256 characters."""
    now = Now()
    now.come(event(0, path="/" + "x" * 2_000))

    assert now.told()["shop"].pages[0].name == "/" + "x" * 255


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
        (
            {"type": "external_link", "url": "https://elsewhere.example/"},
            "https://elsewhere.example/",
        ),
        ({"path": "/" + "x" * 999}, "/" + "x" * 119),
    ],
)
def test_an_event_is_told_by_what_is_special_to_it(given: dict[str, Any], detail: str) -> None:
    """Else by its page; a long text in part."""
    assert detail_of(event("a", **{"path": None, **given})) == detail


def test_windows_hold_no_more_than_their_time_while_nothing_is_told() -> None:
    """As while a worker catches up with half an hour."""
    now = Now()
    for second in range(0, 2 * DAY_MS // 1_000, 600):
        now.come(event(0), at=second)

    told = now.told(at=second)["shop"]
    assert len(told.seconds) == 1
    assert len(told.minutes) == 3
