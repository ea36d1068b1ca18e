"""Erasures of sessions, among events, crashes and replays."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Source
from schemas.records import RawEvent, SessionState
from sinks.rows import session_rows
from streams.domain.sessions.aggregator import KeyedVisit, SessionAggregator
from streams.engine.capacity import MAX_STATES
from tests import reference
from tests.property.streams.histories import Shape, Step, logs, play, steps
from tests.property.streams.test_sessions import (
    ACTIVE_TYPES,
    COLUMNS,
    LONG_WAITS_MS,
    current_visits,
    events,
    flat,
    upserted,
)
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import RULES

#: An event, the key of an erased session, or None for punctuation; and its source.
Entry = tuple[RawEvent | bytes | None, Source]

_ERASURES = st.sampled_from([b"shop:s-1", b"shop:s-2"]).map(lambda key: lambda _: key)


def entries(types: Sequence[str], shape: Shape) -> st.SearchStrategy[list[Entry]]:
    """Return a strategy of logs of events and erasures."""
    made: Any = events(types) | events(types) | _ERASURES
    return cast("st.SearchStrategy[list[Entry]]", logs(made, shape))


def sessionize(
    log: Sequence[Entry], plan: Sequence[Step], sent: list[KeyedVisit], limit: int = MAX_STATES
) -> FakeStates[SessionState]:
    """Process the log as the agent does, and return its table. Append flat visits to `sent`."""
    states = FakeStates(SessionState)

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
            sent.extend(aggregator.flush())

        return process

    play(log, plan, states, take_over)
    return states


def rows_of(states: FakeStates[SessionState]) -> dict[str, dict[str, Any]]:
    """Return the rows that the sink keeps: a state without visits deletes those of its session."""
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
            known = rows.get(row["visit_id"])
            if known is None or known["revision"] < row["revision"]:
                rows[row["visit_id"]] = row
    return rows


def remaining(log: Sequence[Entry]) -> list[tuple[RawEvent, Source]]:
    """Return the events that no later record erases."""
    erased: dict[bytes, int] = {}
    for happened, src in log:
        if isinstance(happened, bytes):
            erased[happened] = max(src.offset, erased.get(happened, -1))
    return [
        (happened, src)
        for happened, src in log
        if isinstance(happened, RawEvent)
        and src.offset > erased.get(f"shop:{happened.session_id}".encode(), -1)
    ]


@given(entries(("pageview", "pageleave", "error"), Shape(at_least=8)), steps())
def test_visits_after_an_erasure_are_those_of_the_events_after_it(
    log: list[Entry], plan: list[Step]
) -> None:
    """The rows equal those of the reference implementation, in SQL and in `visits`."""
    sent: list[KeyedVisit] = []
    rows = rows_of(sessionize(log, plan, sent))

    now_ms = {0: max(src.log_ms for _, src in log)}
    assert reference.visits(remaining(log), now_ms=now_ms) == current_visits(rows)
    assert upserted(sent) == flat(rows)


@given(st.integers(1, 2), entries(ACTIVE_TYPES, Shape(LONG_WAITS_MS, at_least=8)), steps())
def test_each_event_after_an_erasure_is_in_one_row(
    limit: int, log: list[Entry], plan: list[Step]
) -> None:
    """Also if states expire or are evicted, and workers read days of records again."""
    rows = rows_of(sessionize(log, plan, [], limit)).values()

    events_in_rows = sum(row["events"] for row in rows if row["state"] != "withdrawn")
    assert len(reference.counted(remaining(log))) == events_in_rows
