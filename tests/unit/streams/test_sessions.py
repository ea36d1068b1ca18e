from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.codec import encode
from schemas.records import SessionState, Utm, Visit
from schemas.topics import MAX_RECORD_BYTES
from sinks.rows import session_rows
from sinks.sql.tables import SessionRow, table_of
from streams.domain.sessions import rules
from streams.domain.sessions.referrers import MAX_SPARE
from tests.unit.streams.samples import (
    DAY_MS,
    HOUR,
    HOUR_MS,
    MINUTE,
    NOON,
    NOON_MS,
    RULES,
    event,
    source,
    uuid_of,
)

GAP = 30 * MINUTE


def visits_of(*happened: Any) -> list[Visit]:
    """Return the visits of events in this order, each given by its time or its fields."""
    state: SessionState | None = None
    for offset, one in enumerate(happened):
        fields = one if isinstance(one, dict) else {"event_ts": NOON + one}
        state = rules.apply(state, event(offset, **fields), source(offset), RULES)
    assert state is not None
    return state.visits


@pytest.mark.parametrize(("apart", "visits"), [(GAP - 1, 1), (GAP, 1), (GAP + 1, 2)])
@pytest.mark.parametrize("sign", [1, -1])
def test_events_exactly_one_gap_apart_are_in_one_visit(apart: int, visits: int, sign: int) -> None:
    """One microsecond more, in either direction, starts another visit."""
    assert len(visits_of(0, sign * apart)) == visits


def test_an_event_in_between_merges_two_visits_into_the_older() -> None:
    """The younger is retracted, without its texts."""
    first, second = {"event_ts": NOON + 2 * GAP, "path": "/late"}, {"event_ts": NOON, "path": "/in"}

    older, younger = visits_of(first, second, GAP)

    assert older.visit_id == visits_of(first)[0].visit_id
    assert (older.state, older.events, older.revision) == ("open", 3, 3)
    assert (older.started_at, older.ended_at) == (NOON, NOON + 2 * GAP)
    assert older.entry is not None
    assert older.entry.value == "/in"
    assert (younger.state, younger.close_reason, younger.revision) == ("withdrawn", "merged", 2)
    assert younger.entry is None


def test_an_event_in_the_time_of_a_retracted_visit_extends_the_survivor() -> None:
    """A retracted visit never gets events."""
    visits = visits_of(2 * GAP, 0, GAP, 1)

    assert {visit.state: visit.events for visit in visits} == {"withdrawn": 1, "open": 4}


def test_each_text_is_the_first_that_is_not_empty() -> None:
    """By event time, then by event id, whatever the order of arrival."""
    low, high = sorted([uuid_of("a"), uuid_of("b")])
    (visit,) = visits_of(
        {"event_ts": NOON + 2, "visitor_id": "third", "referrer": "only"},
        {"event_ts": NOON + 1, "visitor_id": "second", "event_id": high, "user_id": ""},
        {"event_ts": NOON + 1, "visitor_id": "first", "event_id": low, "path": "/first"},
        {"event_ts": NOON, "visitor_id": "", "type": "copy", "utm": Utm(source="news", medium="")},
    )

    row = session_rows(SessionState(site_id="s", session_id="x", src_offset=0, visits=[visit]))[0]
    assert row[3:5] == ("first", None)
    assert row[10:16] == ("/first", "/", "only", "news", None, None)


@pytest.mark.parametrize(
    ("types", "bounced"),
    [
        (["pageview"], True),
        (["pageview", "pageleave", "web_vitals"], True),
        (["pageview", "pageview"], False),
        (["pageview", "button_click"], False),
        (["pageleave", "copy"], False),
        (["pageview", "error"], False),
    ],
)
def test_a_bounce_is_one_pageview_and_nothing_active(types: list[str], bounced: bool) -> None:
    """Page leaves and web vitals are passive."""
    visits = visits_of(*({"type": name} for name in types))
    state = SessionState(site_id="s", session_id="x", src_offset=0, visits=visits)

    column = table_of(SessionRow).columns.keys().index("bounced")
    assert [row[column] for row in session_rows(state)] == [bounced]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_passive_events_join_a_visit_in_any_order_of_arrival(order: tuple[int, ...]) -> None:
    """Its id, times, counts and revision are the same, and no row was ever retracted."""
    active = {"event_ts": NOON, "event_id": uuid_of("a"), "type": "copy"}
    passive: list[dict[str, Any]] = [
        {"event_ts": NOON + at, "event_id": uuid_of(str(at)), "type": name, "visitor_id": str(at)}
        for at, name in ((-GAP, "web_vitals"), (GAP, "pageleave"), (2 * GAP, "web_vitals"))
    ]
    happened = [active, *passive]

    (row,) = session_rows(_state(visits_of(*(happened[one] for one in order))))

    assert row[0] == visits_of(active)[0].visit_id
    assert (row[3], row[5] - NOON, row[6] - NOON) == (str(-GAP), -GAP, 2 * GAP)
    assert (row[8], row[9], row[-3], row[-1]) == (4, 0, "open", 4)


@pytest.mark.parametrize("types", [["pageleave"], ["web_vitals"], ["web_vitals", "pageleave"]])
def test_passive_events_alone_are_not_a_visit(types: list[str]) -> None:
    """Neither open, nor closed, nor evicted."""
    state = _state(visits_of(*({"type": name} for name in types)))

    assert session_rows(state) == []
    closed = rules.close_due(state, NOON_MS + DAY_MS, RULES)
    assert [visit.state for visit in closed.visits] == ["closed"]
    assert session_rows(closed) == session_rows(rules.close_all(state)) == []


def test_a_passive_event_in_between_merges_two_visits() -> None:
    """The visit whose first active event arrived first survives."""
    passive = {"event_ts": NOON - GAP, "type": "web_vitals"}
    late, early = {"event_ts": NOON + 2 * GAP}, {"event_ts": NOON}
    bridge = {"event_ts": NOON + GAP, "type": "pageleave"}

    visits = visits_of(passive, late, early, bridge)

    rows = {row[-3]: row for row in session_rows(_state(visits))}
    assert rows["open"][0] == visits_of({"event_ts": 0, "type": "copy"}, late)[-1].visit_id
    assert (rows["open"][8], rows["withdrawn"][8]) == (4, 2)


@pytest.mark.parametrize("own", [{"hostname": "shop.example"}, {"url": "https://shop.example/"}])
def test_the_first_referrer_that_is_not_the_sites_own_counts(own: dict[str, str]) -> None:
    """In any order of arrival, also if the site's own is the first in time."""
    happened = [
        {"event_ts": NOON, "referrer": "https://www.shop.example/start", **own},
        {"event_ts": NOON + 1, "referrer": "https://search.example/?q=x", **own},
        {"event_ts": NOON + 2, "referrer": "https://news.example/", **own},
    ]

    for order in permutations(happened):
        (row,) = session_rows(_state(visits_of(*order)))
        assert row[12] == "https://search.example/?q=x"


def test_hosts_of_a_visits_events_are_not_its_referrers() -> None:
    """For a site with two hosts, in any order of arrival, also after a merge."""
    happened = [
        {"event_ts": NOON, "hostname": "shop.example"},
        {"event_ts": NOON + GAP, "hostname": "pay.example", "referrer": "https://shop.example/"},
        {"event_ts": NOON + 2 * GAP, "hostname": "shop.example", "referrer": "http://pay.example"},
        {"event_ts": NOON + 3 * GAP, "url": "https://pay.example/x", "referrer": "https://t.co/a"},
    ]

    for order in permutations(happened):
        row = next(row for row in session_rows(_state(visits_of(*order))) if row[-3] == "open")
        assert row[12] == "https://t.co/a"


def _state(visits: list[Visit]) -> SessionState:
    return SessionState(site_id="s", session_id="x", src_offset=0, visits=visits)


def test_an_applied_event_changes_nothing() -> None:
    """The same state object is returned, so that nothing is written."""
    state = rules.apply(None, event("a"), source(5), RULES)

    assert rules.apply(state, event("b"), source(5), RULES) is state
    assert rules.apply(state, event("c"), source(4), RULES) is state


def test_the_state_of_a_session_fits_into_a_record() -> None:
    """A day of visits with the longest texts that the API accepts, each merged from two."""
    long = "😀" * 2_048
    texts: dict[str, Any] = {
        "path": long,
        "referrer": long,
        "visitor_id": long[:128],
        "user_id": long[:128],
        "utm": Utm(source=long[:512], medium=long[:512], campaign=long[:512]),
    }
    moments = [slot * 31 * MINUTE for slot in range(46)]
    visits = visits_of(*({"event_ts": NOON + moment, **texts} for moment in moments))
    joined = visits_of(
        *({"event_ts": NOON + moment, **texts} for moment in moments),
        *({"event_ts": NOON + moment + MINUTE, **texts} for moment in moments[1::2]),
    )

    referrers: list[dict[str, Any]] = [
        {},
        *({"referrer": f"https://a{at}.example/" + long[:480]} for at in range(MAX_SPARE)),
    ]
    spare = visits_of(
        *(
            {"event_ts": NOON + moment + (at > 0), **texts, **referrer}
            for moment in moments
            for at, referrer in enumerate(referrers)
        )
    )
    assert all(len(visit.spare_referrers) == MAX_SPARE for visit in spare)

    for held in (visits, joined, spare):
        state = SessionState(site_id="s" * 64, session_id=long[:128], src_offset=0, visits=held)
        assert len(encode(state)) < MAX_RECORD_BYTES


def test_the_oldest_closed_visit_expires_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open visit stays, however old. An expired one was published as closed."""
    monkeypatch.setattr(rules, "MAX_VISITS", 2)
    monkeypatch.setattr(rules, "FEW_VISITS", 2)
    state = rules.apply(None, event("a", event_ts=NOON + 9 * HOUR), source(1), RULES)
    closed = rules.close_due(state, NOON_MS + HOUR_MS, RULES)
    state = rules.apply(closed, event("b"), source(2, NOON_MS + HOUR_MS), RULES)
    state = rules.apply(state, event("c", event_ts=NOON + HOUR), source(3), RULES)
    assert [(visit.state, visit.leaving) for visit in state.visits] == [
        ("open", False),
        ("open", False),
        ("closed", True),
    ]

    state = rules.apply(state, event("d", event_ts=NOON + 2 * HOUR), source(4), RULES)
    assert [(visit.state, visit.leaving) for visit in state.visits][:2] == [
        ("closed", True),
        ("open", False),
    ]


def test_limits_are_exclusive() -> None:
    """A visit closes, and expires, after its deadline; what cannot happen yet waits."""
    state = rules.apply(None, event("a"), source(1), RULES)
    closes_ms = rules.closes_at(state, RULES)
    assert closes_ms is not None
    assert rules.close_due(state, closes_ms, RULES) is state
    closed = rules.close_due(state, closes_ms + 1, RULES)
    assert closed.visits[0].close_reason == "idle"

    forgotten_ms = rules.removed_at(closed, closes_ms + 1, RULES)
    assert rules.closes_at(closed, RULES) is None
    assert rules.remove_due(closed, forgotten_ms, RULES) is closed
    assert rules.expire_due(closed, forgotten_ms, RULES) is closed
    assert rules.remove_due(closed, forgotten_ms + 1, RULES).visits == []
    assert rules.expire_due(closed, forgotten_ms + 1, RULES).visits[0].leaving
    assert rules.removed_at(closed, forgotten_ms + 1, RULES) > forgotten_ms + 1


def test_settings_in_seconds_become_limits() -> None:
    """The gap is in microseconds of event time, the others are in milliseconds of log time."""
    limits = rules.SessionRules.of_seconds(gap=2, lateness=3, retention=7)

    assert (limits.gap_us, limits.close_after_ms, limits.retention_ms) == (2_000_000, 5_000, 7_000)


def test_an_eviction_closes_open_visits_only() -> None:
    """A closed one keeps its revision, so that its row is not written again."""
    state = rules.apply(None, event("a"), source(1), RULES)
    state = rules.close_due(state, NOON_MS + DAY_MS, RULES)
    later = event("b", event_ts=NOON + 9 * HOUR)
    state = rules.apply(state, later, source(2, NOON_MS + DAY_MS), RULES)

    closed = rules.close_all(state)

    assert closed.visits[0] == state.visits[0]
    assert [(visit.state, visit.revision) for visit in closed.visits] == [
        ("closed", 2),
        ("closed", 2),
    ]


def test_log_times_ahead_of_the_ceiling_are_limited_to_it() -> None:
    """Those of each visit; everything else stays, and nothing is written without need."""
    state = rules.apply(None, event("a"), source(1, NOON_MS + 5), RULES)
    state = rules.apply(state, event("b", event_ts=NOON + 9 * HOUR), source(2, NOON_MS + 7), RULES)
    assert rules.limit_times(state, NOON_MS + 7) is state

    limited = rules.limit_times(state, NOON_MS + 6)

    assert [visit.last_log_ms for visit in limited.visits] == [NOON_MS + 5, NOON_MS + 6]
    assert [visit.revision for visit in limited.visits] == [1, 1]
    assert (limited.session_id, limited.src_offset) == ("s-1", 2)


@pytest.mark.parametrize(("visits", "expired", "many"), [(1, 0, 0), (17, 16, 0), (17, 17, 1)])
def test_a_state_with_more_than_sixteen_expired_visits_is_published(
    visits: int, expired: int, many: int
) -> None:
    """Others stay in the batch."""
    [visit] = visits_of(0)
    state = _state([replace(visit, leaving=number < expired) for number in range(visits)])

    assert rules.has_many_expired(state) is bool(many)
