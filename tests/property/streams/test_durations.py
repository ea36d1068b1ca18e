from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import sketch
from schemas.records import PageDuration, RawEvent
from streams.domain.durations import candidate_paths, rules
from streams.domain.durations.aggregator import DurationAggregator
from streams.engine.capacity import MAX_STATES
from tests import reference
from tests.property.streams.histories import Logged, Shape, Step, events_of, logs, play, steps
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import DAY_MS, HOUR_MS, MINUTE, MINUTE_MS, NOON, event

DAYS_MS = (0, 1, 1_000, MINUTE_MS, 3 * HOUR_MS, 2 * DAY_MS)


@st.composite
def leaves(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Return a strategy of page leaves within two hours, some without or with huge durations."""
    fields: dict[str, Any] = {
        "type": "pageleave",
        "site_id": draw(st.sampled_from(["shop", "blog"])),
        "event_ts": NOON + draw(st.integers(-2, 2)) * 30 * MINUTE,
        "path": draw(st.sampled_from(["/a", "/b", "/c", "/a:b", None])),
        "duration_ms": draw(st.none() | st.integers(0, 5_000) | st.integers(0, 2**40)),
    }
    return lambda index: event(index, **fields)


def aggregate(
    log: Sequence[Logged],
    plan: Sequence[Step],
    states: FakeStates[PageDuration] | None = None,
    limit: int = MAX_STATES,
) -> FakeStates[PageDuration]:
    """Process the log as the agent does, and return its table."""
    states = states or FakeStates(PageDuration)

    def take_over() -> Callable[[Sequence[Logged]], None]:
        stored = states.recovered()
        aggregator = DurationAggregator(states, 0)
        for key, state in stored.items():
            aggregator.restore(key, state)

        def process(batch: Sequence[Logged]) -> None:
            aggregator.evict(limit)
            for happened, src in batch:
                aggregator.advance(src)
                if happened is not None:
                    aggregator.add(happened, src)
            aggregator.flush()

        return process

    play(log, plan, states, take_over)
    return states


def rows_of(states: FakeStates[PageDuration]) -> list[PageDuration]:
    """Return the rows that the sink keeps: the highest revision of each key."""
    rows: dict[tuple[object, ...], PageDuration] = {}
    for _, state in states.published:
        key = (state.site_id, state.hour, state.path, state.partition, state.generation)
        if key not in rows or rows[key].revision < state.revision:
            rows[key] = state
    return list(rows.values())


def hourly(states: FakeStates[PageDuration]) -> dict[tuple[str, int, str], dict[str, Any]]:
    """Return the rows of the view `page_durations_hourly`."""
    by_page: dict[tuple[str, int, str], list[PageDuration]] = {}
    for row in rows_of(states):
        by_page.setdefault((row.site_id, row.hour, row.path), []).append(row)
    return {
        page: {
            "leaves": sum(row.leaves for row in rows),
            "total_ms": sum(row.total_ms for row in rows),
            "min_ms": min(row.min_ms for row in rows),
            "max_ms": max(row.max_ms for row in rows),
        }
        for page, rows in by_page.items()
    }


def expected(log: Sequence[Logged]) -> dict[tuple[str, int, str], dict[str, Any]]:
    """Return the sums of the durations in the log."""
    columns = ("leaves", "total_ms", "min_ms", "max_ms")
    return {
        page: {column: row[column] for column in columns}
        for page, row in reference.page_durations(events_of(log)).items()
    }


@given(logs(leaves()), steps())
def test_batches_crashes_and_replays_do_not_change_sums(
    log: list[Logged], plan: list[Step]
) -> None:
    """The rows equal a GROUP BY over the log."""
    assert expected(log) == hourly(aggregate(log, plan))


@given(st.sampled_from([1, 2, MAX_STATES]), logs(leaves(), Shape(DAYS_MS)), steps())
def test_sums_over_generations_are_exact(limit: int, log: list[Logged], plan: list[Step]) -> None:
    """Leaves of an hour whose state expired or was evicted start another row."""
    assert expected(log) == hourly(aggregate(log, plan, limit=limit))


@given(logs(leaves()), steps())
def test_merged_sketches_contain_all_durations_of_a_page(
    log: list[Logged], plan: list[Step]
) -> None:
    """Merging the sketches of its rows gives the sketch of all its durations."""
    rows = rows_of(aggregate(log, plan))

    for page, row in reference.page_durations(events_of(log)).items():
        merged = sketch.merge(
            state.sketch for state in rows if (state.site_id, state.hour, state.path) == page
        )
        assert sketch.add(b"", row["durations"]) == merged


@given(st.integers(1, 3), logs(leaves()), steps())
def test_paths_over_the_limit_are_aggregated(
    bound: int, log: list[Logged], plan: list[Step]
) -> None:
    """The first paths of an hour have their own rows, all others are in `(other)`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "MAX_PATHS", bound)
        found = hourly(aggregate(log, plan))
        one_by_one = hourly(aggregate(log, [Step(1)] * len(log)))

    assert one_by_one == found
    assert _by_hour(expected(log)) == _by_hour(found)
    for site_id, hour, _ in found:
        paths = {page[2] for page in found if page[:2] == (site_id, hour)}
        assert len(paths - {rules.OTHER_PATHS}) <= bound


def _by_hour(pages: dict[tuple[str, int, str], dict[str, Any]]) -> dict[object, object]:
    sums: dict[tuple[str, int], list[int]] = {}
    for (site_id, hour, _), row in pages.items():
        leaves, total_ms = sums.get((site_id, hour), [0, 0])
        sums[site_id, hour] = [leaves + row["leaves"], total_ms + row["total_ms"]]
    return dict(sums)


@st.composite
def visits(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Return a strategy of page leaves of many pages in an hour, by a few sessions."""
    fields: dict[str, Any] = {
        "type": "pageleave",
        "path": f"/{draw(st.integers(0, 9))}",
        "session_id": f"s-{draw(st.integers(0, 2))}",
        "duration_ms": 1_000,
    }
    return lambda index: event(index, **fields)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3), logs(visits()), steps())
def test_a_path_that_several_sessions_leave_has_its_own_row(
    first: int, more: int, buckets: int, log: list[Logged], plan: list[Step]
) -> None:
    """Also in a full hour. The number of paths is bounded, and each leave counts once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "MAX_PATHS", first)
        patch.setattr(rules, "MAX_CONFIRMED_PATHS", more)
        patch.setattr(candidate_paths, "BUCKETS", buckets)
        found = hourly(aggregate(log, plan))
        one_by_one = hourly(aggregate(log, [Step(1)] * len(log)))

    assert one_by_one == found
    assert _by_hour(expected(log)) == _by_hour(found)
    assert len({page[2] for page in found} - {rules.OTHER_PATHS}) <= first + more


@given(logs(leaves()), steps())
def test_a_revision_only_grows(log: list[Logged], plan: list[Step]) -> None:
    """The sink keeps the highest revision of a row."""
    known: dict[tuple[bytes, int], int] = {}

    for key, state in aggregate(log, plan).published:
        assert known.get((key, state.generation), 0) <= state.revision
        known[key, state.generation] = state.revision


@given(logs(leaves()), steps())
def test_every_state_expires(log: list[Logged], plan: list[Step]) -> None:
    """Days later all states are deleted, after their last value was published."""
    offset, log_ms = (max(src[field] for _, src in log) for field in (1, 2))
    later = (
        event("later", type="pageleave"),
        log[0][1]._replace(offset=offset + 1, log_ms=log_ms + 3 * DAY_MS),
    )

    states = aggregate(log, plan)
    aggregate([later, (None, later[1])], [Step(1)], states)

    assert states.stored() == {}
