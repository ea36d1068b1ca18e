"""Erasures of sessions, among events, crashes and replays."""

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Source
from schemas.records import RawEvent
from streams.domain.sessions.aggregator import KeyedVisit
from tests import reference
from tests.property.streams.histories import Shape, Step, logs, steps
from tests.property.streams.test_sessions import (
    ACTIVE_TYPES,
    LONG_WAITS_MS,
    Entry,
    current_visits,
    events,
    flat,
    rows_of,
    sessionize,
    upserted,
)

_ERASURES = st.sampled_from([b"shop:s-1", b"shop:s-2"]).map(lambda key: lambda _: key)


def entries(types: Sequence[str], shape: Shape) -> st.SearchStrategy[list[Entry]]:
    """Return a strategy of logs of events and erasures."""
    made: Any = events(types) | events(types) | _ERASURES
    return cast("st.SearchStrategy[list[Entry]]", logs(made, shape))


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
    rows = rows_of(sessionize(log, plan, sent=sent))

    now_ms = {0: max(src.log_ms for _, src in log)}
    assert reference.visits(remaining(log), now_ms=now_ms) == current_visits(rows)
    assert upserted(sent) == flat(rows)


@given(st.integers(1, 2), entries(ACTIVE_TYPES, Shape(LONG_WAITS_MS, at_least=8)), steps())
def test_each_event_after_an_erasure_is_in_one_row(
    limit: int, log: list[Entry], plan: list[Step]
) -> None:
    """Also if states expire or are evicted, and workers read days of records again."""
    rows = rows_of(sessionize(log, plan, limit=limit)).values()

    events_in_rows = sum(row["events"] for row in rows if row["state"] != "withdrawn")
    assert len(reference.counted(remaining(log))) == events_in_rows
