"""Visitor ids without cookies, and their salts."""

import logging
import re
from typing import Any

import pytest
from msgspec.structs import replace

from producer_api.events.client import Client, Grant, SitePolicy
from producer_api.events.derive import visitors
from producer_api.events.derive.salts import DAY_US, Salts
from producer_api.events.derive.visitors import Visitors
from schemas.codec import decode, encode
from schemas.records import Salt
from tests.unit.producer_api.derivation import (
    BROWSER,
    CHROME,
    GAP_US,
    HOUR_US,
    derived,
    salted,
)

MINUTE_US = HOUR_US // 60
DAY = 20_000
TODAY, TOMORROW = b"2024-10-04", b"2024-10-05"


class _Clock:
    """A clock that the test sets, in microseconds after the begin of `DAY`."""

    def __init__(self, time_of_day: int = 12 * HOUR_US) -> None:
        self.time = time_of_day

    def __call__(self) -> int:
        return DAY * DAY_US + self.time


def visitors_of(clock: _Clock, *days: int) -> Visitors:
    """Return visitor ids with the salts of these days, as differences to `DAY`."""
    return Visitors(salted(clock, *days), clock, GAP_US)


def test_a_visitor_is_a_site_an_address_and_a_user_agent() -> None:
    """The same ones have the same id, whatever their session."""
    id_of = visitors_of(_Clock(), 0).id_of
    first = id_of("shop", "s-1", "192.0.2.1", CHROME)

    assert first == id_of("shop", "s-2", "192.0.2.1", CHROME)
    assert re.fullmatch("d-[0-9a-f]{32}", first or "")
    others = {
        id_of("blog", "s-1", "192.0.2.1", CHROME),
        id_of("shop", "s-1", "192.0.2.2", CHROME),
        id_of("shop", "s-1", "192.0.2.1", "Other/1"),
    }
    assert len(others | {first}) == 4


def test_an_event_gets_the_id_of_its_visitor() -> None:
    """Unless it carries one."""
    event = derived()

    assert (event.visitor_id or "").startswith("d-")
    assert derived(session_id="other").visitor_id == event.visitor_id
    assert derived(visitor_id="v-1").visitor_id == "v-1"
    assert derived(visitor_id="").visitor_id == event.visitor_id


@pytest.mark.parametrize(
    ("client", "policy"),
    [
        (BROWSER, SitePolicy(derives_visitors=False)),
        (replace(BROWSER, opts_out=True), SitePolicy()),
        (replace(BROWSER, address=""), SitePolicy()),
        (replace(BROWSER, user_agent=""), SitePolicy()),
        (replace(BROWSER, user_agent="python-requests/2.32"), SitePolicy()),
    ],
    ids=["the site", "the visitor", "no address", "no user agent", "a back end"],
)
def test_no_id_is_derived(client: Client, policy: SitePolicy) -> None:
    """If the site or the visitor does not want it, or the client is not a visitor's browser."""
    assert derived(client, Grant("open", policy)).visitor_id is None


def test_a_back_end_is_not_one_visitor() -> None:
    """Its events with user agents of visitors have no ids: their addresses are unknown."""
    program = Client(address="192.0.2.1", user_agent="python-requests/2.32")

    assert derived(program, user_agent=CHROME).visitor_id is None


def test_events_before_the_salt_is_loaded_have_no_id() -> None:
    """They are accepted all the same."""
    assert visitors_of(_Clock()).id_of("shop", "s", "192.0.2.1", CHROME) is None


def test_the_next_day_has_other_ids() -> None:
    """Nobody can link a visitor's days."""
    clock = _Clock()
    visitors = visitors_of(clock, 0, 1)
    today = visitors.id_of("shop", "s", "192.0.2.1", CHROME)
    clock.time += DAY_US

    assert visitors.id_of("shop", "s", "192.0.2.1", CHROME) not in {today, None}


def test_a_visit_across_midnight_keeps_its_id() -> None:
    """As long as no gap ends it."""
    clock = _Clock(DAY_US - 10 * MINUTE_US)
    visitors = visitors_of(clock, 0, 1)
    before = visitors.id_of("shop", "s", "192.0.2.1", CHROME)
    after = set()
    for _ in range(6):
        clock.time += 20 * MINUTE_US
        after.add(visitors.id_of("shop", "s", "192.0.2.1", CHROME))

    assert after == {before}


@pytest.mark.parametrize(
    ("session", "address", "minutes"),
    [("other", "192.0.2.1", 20), ("s", "192.0.2.2", 20), ("s", "192.0.2.1", 31)],
    ids=["another session", "another address", "after a gap"],
)
def test_other_visits_after_midnight_have_a_new_id(
    session: str, address: str, minutes: int
) -> None:
    """The old one is only for the same visitor in the same visit."""
    clock = _Clock(DAY_US - 10 * MINUTE_US)
    visitors = visitors_of(clock, 0, 1)
    old = {visitors.id_of("shop", "s", place, CHROME) for place in ("192.0.2.2", "192.0.2.1")}
    clock.time += minutes * MINUTE_US

    assert visitors.id_of("shop", session, address, CHROME) not in {*old, None}


def test_sessions_at_midnight_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of sessions evicts those that were idle for longest."""
    monkeypatch.setattr(visitors, "_MAX_SESSIONS", 2)
    clock = _Clock(DAY_US - MINUTE_US)
    derivation = visitors_of(clock, 0, 1)
    for number in range(3):
        derivation.id_of("shop", f"s-{number}", "192.0.2.1", CHROME)
    old = derivation.id_of("shop", "s-2", "192.0.2.1", CHROME)
    clock.time += 2 * MINUTE_US

    ids = [derivation.id_of("shop", f"s-{number}", "192.0.2.1", CHROME) for number in range(3)]
    assert [visitor_id == old for visitor_id in ids] == [False, True, True]


def test_the_first_salt_of_a_day_wins() -> None:
    """All processes read the topic in the same order."""
    salts = Salts(_Clock())
    values = [salts.candidate(DAY) for _ in range(3)]
    for value in values:
        salts.apply(TODAY, value)

    assert salts.of(DAY) == decode(values[0], Salt).salt
    assert len({decode(value, Salt).salt for value in values}) == 3


def test_tomorrows_salt_is_created_an_hour_ahead() -> None:
    """So that every process has it at midnight."""
    clock = _Clock(0)
    salts = Salts(clock)
    missing = []
    for hour in (0, 22, 23):
        clock.time = hour * HOUR_US
        missing.append(salts.missing())
        salts.apply(TODAY, salts.candidate(DAY))

    assert missing == [[DAY], [], [DAY + 1]]


def test_a_salt_is_deleted_after_48_hours() -> None:
    """From its day's begin. A process that starts later does not load it, either."""
    clock = _Clock()
    salts = Salts(clock)
    value = salts.candidate(DAY)
    salts.apply(TODAY, value)
    clock.time = 2 * DAY_US - 1
    assert salts.expire() == []
    assert salts.of(DAY) is not None
    clock.time = 2 * DAY_US

    assert salts.expire() == [DAY]
    salts.apply(TODAY, value)
    assert salts.of(DAY) is None


def test_a_tombstone_deletes_a_salt() -> None:
    """An operator can delete it earlier."""
    salts = salted(_Clock(), 0)
    salts.apply(TODAY, None)

    assert salts.of(DAY) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b""),
        (b"today", b""),
        (TODAY, b"no record"),
        (TODAY, encode(Salt(day="2024-10-04", salt=b"", created_at=0))),
        (b"\xff", None),
    ],
)
def test_other_records_are_skipped(
    key: bytes | None, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that is no salt does not replace one, and is not logged."""
    salts = salted(_Clock(), 0)
    before = salts.of(DAY)
    with caplog.at_level(logging.WARNING):
        salts.apply(key, value)

    assert salts.of(DAY) == before
    assert "no record" not in caplog.text


def test_ids_cannot_be_linked_without_their_salt() -> None:
    """After 48 hours, nothing in the process reproduces the id of a known visitor."""
    clock = _Clock(DAY_US - MINUTE_US)
    salts = salted(clock, 0, 1)
    derivation = Visitors(salts, clock, GAP_US)
    known = derivation.id_of("shop", "s", "192.0.2.1", CHROME)
    clock.time = 2 * DAY_US
    salts.expire()
    salts.apply(b"2024-10-06", salts.candidate(DAY + 2))

    again = {derivation.id_of("shop", "s", "192.0.2.1", CHROME) for _ in range(3)}
    assert known not in again
    assert salts.of(DAY) is None
