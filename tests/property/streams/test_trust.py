"""Events of strangers, who know a session id, change no claim of a more trusted event."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import RawEvent, SessionState, Utm
from sinks.rows import session_rows
from sinks.sql.tables import SessionRow, table_of
from streams.domain.sessions import rules
from tests.unit.streams.samples import MINUTE, NOON, RULES, event, source

_COLUMNS = table_of(SessionRow).columns.keys()
#: Columns with the claim of one event.
CLAIMS = (
    *("visitor_id", "user_id", "referrer", "utm_source", "utm_medium", "utm_campaign"),
    *("entry_path", "exit_path"),
)
ATTRIBUTES = ("source", "channel", "country", "region", "browser", "os", "device")
#: Who vouches for the site's events, and for the strangers'.
LEVELS = [("key", ("open", "origin")), ("origin", ("open",))]
#: Texts of both, so that a stranger also repeats and contradicts what vouched events state.
TEXTS = st.sampled_from([None, "", "a", "b", "c"])
HOSTS = ("shop.example", "pay.example", "search.example", "mail.example")
URLS = st.sampled_from([None, *(f"https://{host}/x" for host in HOSTS)])


@st.composite
def events(draw: st.DrawFn, trusts: Sequence[str]) -> Callable[[str], RawEvent]:
    """Return an event of one visit, with values that others may contradict."""
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(["pageview", "custom_event", "error", "pageleave"])),
        "trust": draw(st.sampled_from(trusts)),
        "event_ts": NOON + draw(st.integers(0, 20)) * MINUTE,
        "path": draw(st.sampled_from(["/a", "/b", "/c"])),
        "url": draw(URLS),
        "hostname": draw(st.sampled_from([None, *HOSTS])),
        "referrer": draw(URLS),
        "visitor_id": draw(TEXTS),
        "user_id": draw(TEXTS),
        "utm": draw(st.none() | st.builds(Utm, source=TEXTS, medium=TEXTS, campaign=TEXTS)),
        "source": draw(TEXTS),
        "channel": draw(st.sampled_from(["Direct", "Referral"])),
        "country": draw(TEXTS),
        "device": draw(st.sampled_from([None, "desktop", "tv"])),
    }
    return lambda name: event(name, **fields)


def row_of(in_order: Sequence[RawEvent]) -> dict[str, Any]:
    """Return the row of the visit of all events."""
    state: SessionState | None = None
    for offset, one in enumerate(in_order):
        state = rules.apply(state, one, source(offset), RULES)
    assert state is not None
    [row] = session_rows(state)
    return dict(zip(_COLUMNS, row, strict=True))


@pytest.mark.parametrize(("vouched_by", "strangers"), LEVELS)
@given(data=st.data())
def test_a_stranger_changes_no_claim_of_a_more_trusted_event(
    vouched_by: str, strangers: Sequence[str], data: st.DataObject
) -> None:
    """Whatever it states, and whenever it arrives: it fills in only what nobody else states."""
    first = event("first", trust=vouched_by, path="/a", hostname="shop.example")
    site = data.draw(st.lists(events([vouched_by]), max_size=4))
    forged = data.draw(st.lists(events(strangers), min_size=1, max_size=6))
    vouched = [first, *(make(f"site-{index}") for index, make in enumerate(site))]
    others = [make(f"forged-{index}") for index, make in enumerate(forged)]

    alone = row_of(vouched)
    mixed = row_of(data.draw(st.permutations([*vouched, *others])))

    stated = {name: alone[name] for name in CLAIMS if alone[name] is not None}
    assert {name: mixed[name] for name in stated} == stated
    assert mixed["trust"] == alone["trust"] == vouched_by
    if alone["source"]:
        assert [mixed[name] for name in ATTRIBUTES[:2]] == [alone[name] for name in ATTRIBUTES[:2]]
    if alone["device"]:
        assert [mixed[name] for name in ATTRIBUTES[2:]] == [alone[name] for name in ATTRIBUTES[2:]]


@pytest.mark.parametrize(("vouched_by", "strangers"), LEVELS)
@given(data=st.data())
def test_counts_and_times_are_those_of_all_events(
    vouched_by: str, strangers: Sequence[str], data: st.DataObject
) -> None:
    """A visit of a browser's events and a back end's payment is one visit (ADR 68)."""
    browser = data.draw(st.lists(events(strangers), min_size=1, max_size=6))
    views = [make(f"view-{index}") for index, make in enumerate(browser)]
    payment = event("paid", type="payment", trust=vouched_by, event_ts=NOON + 10 * MINUTE)
    mixed = [*views, payment]

    row = row_of(data.draw(st.permutations(mixed)))

    times = [one.event_ts for one in mixed]
    assert (row["events"], row["payments"]) == (len(mixed), 1)
    assert row["pageviews"] == sum(one.type == "pageview" for one in views)
    assert (row["started_at"], row["ended_at"]) == (min(times), max(times))
