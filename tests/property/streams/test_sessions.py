from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from schemas.headers import Source
from schemas.records import FlatVisit, RawEvent, SessionState, Utm
from sinks.rows import flat_visit_of, session_rows
from sinks.sql.tables import SessionRow, table_of
from streams.domain.sessions import rules
from streams.domain.sessions.aggregator import KeyedVisit, SessionAggregator
from streams.engine.capacity import MAX_STATES
from tests import reference
from tests.property.streams.histories import Logged, Shape, Step, events_of, logs, play, steps
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import (
    DAY_MS,
    HOUR_MS,
    MINUTE,
    MINUTE_MS,
    NOON,
    RULES,
    event,
    source,
)

#: An event, the key of an erased session, or None for punctuation; and its source.
Entry = tuple[RawEvent | bytes | None, Source]

COLUMNS = table_of(SessionRow).columns.keys()
TYPES = ("pageview", "pageview", "pageleave", "web_vitals", "custom_event", "error", "payment")


#: Types that start a visit. Passive events alone are in no visit.
ACTIVE_TYPES = ("pageview", "custom_event", "payment")


def texts(*known: str) -> st.SearchStrategy[str | None]:
    """Return a strategy of the given texts, "" and None."""
    return st.sampled_from([None, "", *known])


#: Derived fields: none, as in events of earlier versions, or all.
attributes: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {
        "source": st.sampled_from([None, "Google", "Reddit"]),
        "channel": st.sampled_from(["Direct", "Organic Search"]),
        "country": st.sampled_from([None, "AT", "DE"]),
        "region": st.sampled_from([None, "AT-9"]),
        "browser": st.sampled_from([None, "Firefox"]),
        "os": st.sampled_from([None, "Linux"]),
        "device": st.sampled_from([None, "mobile", "desktop", "other"]),
    }
)


@st.composite
def events(draw: st.DrawFn, types: Sequence[str] = TYPES) -> Callable[[int], RawEvent]:
    """Return a strategy of events of two sessions, multiples of half a gap apart, ± 1 µs."""
    moment = draw(st.integers(0, 12)) * 15 * MINUTE + draw(st.sampled_from([-1, 0, 0, 0, 1]))
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(types)),
        "session_id": draw(st.sampled_from(["s-1", "s-2"])),
        "event_ts": NOON + moment,
        "path": draw(texts("/a", "/b")),
        "url": draw(texts("https://shop.example/c?x", "https://shop.example")),
        "visitor_id": draw(texts("v-1", "v-2")),
        "user_id": draw(texts("u-1")),
        "hostname": draw(texts("www.shop.example", "pay.example")),
        "referrer": draw(
            texts("https://search.example/", "https://Shop.example:80/c", "http://pay.example/")
        ),
        "utm": draw(st.none() | st.builds(Utm, source=texts("news", "ads"), medium=texts("mail"))),
        "trust": draw(st.sampled_from(["open", "open", "origin", "key"])),
        **draw(attributes),
    }
    return lambda index: event(index, **fields)


def sessionize(
    log: Sequence[Entry],
    plan: Sequence[Step],
    states: FakeStates[SessionState] | None = None,
    limit: int = MAX_STATES,
    sent: list[KeyedVisit] | None = None,
) -> FakeStates[SessionState]:
    """Process the log as the agent does, and return its table. Append flat visits to `sent`."""
    states = states or FakeStates(SessionState)

    def take_over() -> Callable[[Sequence[Entry]], None]:
        stored = states.recovered()
        aggregator = SessionAggregator(states, RULES)
        for key, state in stored.items():
            aggregator.restore(key, state)

        def process(batch: Sequence[Entry]) -> None:
            aggregator.evict(limit)
            for happened, src in batch:
                aggregator.advance(src)
                if isinstance(happened, bytes):
                    aggregator.erase(happened, src)
                elif happened is not None:
                    aggregator.add(happened, src)
            flat_visits = list(aggregator.flush())
            if sent is not None:
                sent.extend(flat_visits)

        return process

    play(log, plan, states, take_over)
    return states


def rows_of(states: FakeStates[SessionState]) -> dict[str, dict[str, Any]]:
    """Return the rows that the sink keeps: the highest revision of each visit.

    A state without visits deletes the rows of its session.
    """
    rows: dict[str, dict[str, Any]] = {}
    for _, state in states.published:
        if not state.visits:
            erased = (state.site_id, state.session_id)
            rows = {
                name: row
                for name, row in rows.items()
                if (row["site_id"], row["session_id"]) != erased
            }
        for values in session_rows(state):
            row = dict(zip(COLUMNS, values, strict=True))
            if row["visit_id"] not in rows or rows[row["visit_id"]]["revision"] < row["revision"]:
                rows[row["visit_id"]] = row
    return rows


def upserted(sent: Sequence[KeyedVisit]) -> dict[str, FlatVisit]:
    """Return the rows of a consumer of `visits` that keeps the last record of each key."""
    return {visit.visit_id: visit for visit in dict(sent).values() if visit is not None}


def flat(rows: dict[str, dict[str, Any]]) -> dict[str, FlatVisit]:
    """Return the rows of SQL as records of `visits`."""
    return {visit_id: flat_visit_of(tuple(row.values())) for visit_id, row in rows.items()}


def current_visits(rows: dict[str, dict[str, Any]]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return the rows that are not retracted, in the form of the reference."""
    return {
        (row["site_id"], row["session_id"], row["started_at"]): {
            column: value for column, value in row.items() if column != "revision"
        }
        for row in rows.values()
        if row["state"] != "withdrawn"
    }


@given(logs(events()), steps())
def test_batches_crashes_and_replays_do_not_change_visits(
    log: list[Logged], plan: list[Step]
) -> None:
    """The rows equal those of the reference implementation."""
    now_ms = {0: max(src.log_ms for _, src in log)}

    sent: list[KeyedVisit] = []
    rows = rows_of(sessionize(log, plan, sent=sent))

    assert reference.visits(events_of(log), now_ms=now_ms) == current_visits(rows)
    assert upserted(sent) == flat(rows)


@given(st.data())
def test_any_order_gives_the_same_visits(data: st.DataObject) -> None:
    """Only revisions, and ids, which derive from the first event to arrive, depend on it."""
    made = data.draw(st.lists(events(), min_size=1, max_size=15))
    happened = [make(index) for index, make in enumerate(made)]
    shuffled = data.draw(st.permutations(happened))

    def visits(in_order: Sequence[RawEvent]) -> dict[tuple[str, str, int], dict[str, Any]]:
        log: list[Logged] = [(one, source(offset)) for offset, one in enumerate(in_order)]
        rows = current_visits(rows_of(sessionize(log, [])))
        return {key: row | {"visit_id": None} for key, row in rows.items()}

    assert visits(happened) == visits(shuffled)


@given(st.data())
def test_the_order_of_passive_events_changes_nothing(data: st.DataObject) -> None:
    """Not even ids and revisions, if the order of the active events is the same."""
    made = data.draw(st.lists(events(), min_size=1, max_size=12))
    happened = [make(index) for index, make in enumerate(made)]
    active = iter([one for one in happened if one.type not in reference.PASSIVE])
    shuffled = [
        one if one.type in reference.PASSIVE else next(active)
        for one in data.draw(st.permutations(happened))
    ]

    def rows(in_order: Sequence[RawEvent]) -> dict[str, dict[str, Any]]:
        log: list[Logged] = [(one, source(offset)) for offset, one in enumerate(in_order)]
        found = rows_of(sessionize(log, []))
        return {key: row for key, row in found.items() if row["state"] != "withdrawn"}

    assert rows(happened) == rows(shuffled)


@given(st.data())
def test_a_single_visit_is_updated_like_one_of_several(data: st.DataObject) -> None:
    """A fast path serves sessions with one visit: another, unrelated visit changes nothing."""
    made = data.draw(st.lists(events(), min_size=1, max_size=8))
    long_ago = rules.apply(None, event(99, event_ts=0), source(0), RULES)
    alone = rules.apply(None, made[0](0), source(1), RULES)
    with_another = replace(alone, visits=[*long_ago.visits, *alone.visits])

    for index, make in enumerate(made[1:], 1):
        before = to_builtins(alone), to_builtins(with_another)
        changed = [
            rules.apply(state, make(index), source(1 + index), RULES)
            for state in (alone, with_another)
        ]
        assert (to_builtins(alone), to_builtins(with_another)) == before
        alone, with_another = changed
        assert with_another == replace(alone, visits=[*long_ago.visits, *alone.visits])


@given(logs(events()), steps())
def test_revisions_grow_and_retracted_visits_stay_retracted(
    log: list[Logged], plan: list[Step]
) -> None:
    """The sink keeps the highest revision of a visit."""
    known: dict[str, tuple[int, str]] = {}

    for _, state in sessionize(log, plan).published:
        for visit in state.visits:
            revision, was = known.get(visit.visit_id, (0, "open"))
            assert visit.revision >= revision
            assert visit.state == was or visit.revision > revision
            assert was != "withdrawn" or visit.state == "withdrawn"
            known[visit.visit_id] = (visit.revision, visit.state)


@given(logs(events()), steps())
def test_the_older_of_two_merged_visits_survives(log: list[Logged], plan: list[Step]) -> None:
    """The one whose first active event arrived earlier, whatever its event time."""
    rows = rows_of(sessionize(log, plan))

    active = [pair for pair in events_of(log) if pair[0].type not in reference.PASSIVE]
    by_offset = sorted(active, key=lambda pair: pair[1].offset)
    for session in {row["session_id"] for row in rows.values()}:
        first = next(one for one, _ in by_offset if one.session_id == session)
        name = reference.visits([(first, source(0))])
        (visit_id,) = [row["visit_id"] for row in name.values()]
        assert rows[visit_id]["state"] != "withdrawn"


LONG_WAITS_MS = (0, 1_000, 30 * MINUTE_MS, 3 * HOUR_MS, 26 * HOUR_MS, 4 * DAY_MS)


@given(logs(events(), Shape(LONG_WAITS_MS, repeats=0)), steps(back=0))
def test_which_visits_a_late_event_can_extend_does_not_depend_on_batches(
    log: list[Logged], plan: list[Step]
) -> None:
    """Days may pass within a batch: visits expire within it."""
    one_by_one = [Step(1)] * len(log)

    assert rows_of(sessionize(log, one_by_one)) == rows_of(sessionize(log, plan))


#: After these days without events, all visits have closed and all states have expired.
DAYS = 5


def days_after(log: Sequence[Logged]) -> list[Logged]:
    """Return a tick for each of the days after a log."""
    offset, log_ms = (max(src[field] for _, src in log) for field in (1, 2))
    return [(None, source(offset + day, log_ms + day * DAY_MS)) for day in range(1, DAYS + 1)]


@given(st.integers(1, 2), logs(events(ACTIVE_TYPES), Shape(LONG_WAITS_MS)), steps())
def test_each_event_is_in_one_row_when_states_expire_before_a_replay(
    limit: int, log: list[Logged], plan: list[Step]
) -> None:
    """Sessions expire or are evicted, and workers read days of records again.

    A crash may lose evictions whose visits were sent. Flat visits are exact once all are closed.
    """
    sent: list[KeyedVisit] = []
    states = sessionize(log, plan, limit=limit, sent=sent)
    sessionize(days_after(log), [Step(1)] * DAYS, states, sent=sent)

    assert upserted(sent) == flat(rows_of(states))
    rows = [row for row in rows_of(states).values() if row["state"] != "withdrawn"]
    assert len(reference.counted(events_of(log))) == sum(row["events"] for row in rows)


@given(logs(events()), steps())
def test_every_visit_is_closed_and_every_state_expires(log: list[Logged], plan: list[Step]) -> None:
    """Each state is deleted after its last value was published."""
    states = sessionize(log, plan)
    sessionize(days_after(log), [Step(1)] * DAYS, states)

    assert states.stored() == {}
    assert {row["state"] for row in rows_of(states).values()} <= {"closed", "withdrawn"}


@given(
    st.integers(2, 4),
    st.sampled_from([20, 60, 1_000]),
    logs(events(ACTIVE_TYPES), Shape(size=40)),
    steps(),
)
def test_the_visits_of_a_session_are_bounded_and_none_is_lost(
    bound: int, text_bytes: int, log: list[Logged], plan: list[Step]
) -> None:
    """The oldest expire early, after they were published. Every event is in one row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "MAX_VISITS", bound)
        patch.setattr(rules, "MAX_EXPIRED", 1)
        patch.setattr(rules, "FEW_VISITS", 0)
        patch.setattr(rules, "MAX_TEXT_BYTES", text_bytes)
        sent: list[KeyedVisit] = []
        states = sessionize(log, plan, sent=sent)

    assert upserted(sent) == flat(rows_of(states))
    # A visit that expired and one that a late event started again may start at the same time.
    rows = [row for row in rows_of(states).values() if row["state"] != "withdrawn"]
    assert len(reference.counted(events_of(log))) == sum(row["events"] for row in rows)
    for state in states.stored().values():
        kept = [visit for visit in state.visits if not visit.leaving]
        assert len([visit for visit in kept if visit.state == "withdrawn"]) <= bound
        assert len([visit for visit in kept if visit.state != "withdrawn"]) <= bound


def test_an_import_of_months_has_a_visit_per_day() -> None:
    """It arrives within minutes: the times of its events close no visit."""
    days = [event(day, event_ts=NOON + day * 24 * 60 * MINUTE) for day in range(60)]
    log: list[Logged] = [(one, source(offset)) for offset, one in enumerate(days)]

    rows = current_visits(rows_of(sessionize(log, [Step(7)] * 9)))

    assert len(rows) == 60
    assert {row["state"] for row in rows.values()} == {"open"}
    assert reference.visits(events_of(log), now_ms={0: 0}) == rows
