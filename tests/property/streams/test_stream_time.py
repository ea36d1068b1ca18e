from hypothesis import given
from hypothesis import strategies as st

from schemas.clock_tolerance import LEAD_MS
from streams.engine.stream_time import StreamTime
from tests.unit.streams.samples import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, source

WRONG_MS = [2 * DAY_MS, 96 * MINUTE_MS, 3_650 * DAY_MS, -HOUR_MS, -2 * DAY_MS, -3_650 * DAY_MS]

#: Time before a record, deviation of the broker's clock, and whether the record is a tick.
records = st.lists(
    st.tuples(st.integers(0, 90 * MINUTE_MS), st.sampled_from([0, 0, 0, *WRONG_MS]), st.booleans()),
    min_size=1,
)


@given(records)
def test_a_wrong_broker_clock_moves_stream_time_by_five_minutes_at_most(
    log: list[tuple[int, int, bool]],
) -> None:
    """Forward at any record, backward at any record except ticks."""
    times, real_ms, latest_ms = StreamTime(), NOON_MS, 0
    for offset, (wait_ms, wrong_ms, is_tick) in enumerate(log):
        real_ms += wait_ms
        times.begin_batch(real_ms)
        found = times.limit(source(offset, real_ms + wrong_ms), None if is_tick else real_ms)
        assert found.log_ms <= real_ms + LEAD_MS
        if wrong_ms == 0:
            assert found.log_ms == real_ms
        elif not is_tick:
            assert found.log_ms >= min(real_ms, latest_ms) - LEAD_MS
        latest_ms = max(latest_ms, found.log_ms)


@given(records, st.sampled_from(WRONG_MS))
def test_a_wrong_worker_clock_does_not_change_the_time_of_events(
    log: list[tuple[int, int, bool]], wrong_ms: int
) -> None:
    """API server and broker agree. Ticks advance stream time little beyond the last event."""
    times, real_ms, event_ms = StreamTime(), NOON_MS, NOON_MS
    times.limit(source(0, real_ms), real_ms)
    for offset, (wait_ms, _, is_tick) in enumerate(log, 1):
        real_ms += wait_ms
        times.begin_batch(real_ms + wrong_ms)
        found = times.limit(source(offset, real_ms), None if is_tick else real_ms)
        event_ms = event_ms if is_tick else real_ms
        assert found.log_ms <= real_ms
        assert found.log_ms >= min(real_ms, event_ms + LEAD_MS)


@given(records, st.sampled_from(WRONG_MS))
def test_a_wrong_clock_of_an_api_server_does_not_move_stream_time(
    log: list[tuple[int, int, bool]], wrong_ms: int
) -> None:
    """Broker and worker agree."""
    times, real_ms = StreamTime(), NOON_MS
    for offset, (wait_ms, _, is_tick) in enumerate(log):
        real_ms += wait_ms
        times.begin_batch(real_ms)
        found = times.limit(source(offset, real_ms), None if is_tick else real_ms + wrong_ms)
        assert found.log_ms == real_ms
