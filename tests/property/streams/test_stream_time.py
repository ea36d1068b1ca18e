from hypothesis import given
from hypothesis import strategies as st

from schemas.clock_tolerance import LEAD_MS
from streams.engine.stream_time import StreamTime
from tests.unit.streams.samples import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, source

WRONG_MS = [2 * DAY_MS, 96 * MINUTE_MS, 3_650 * DAY_MS, -HOUR_MS, -2 * DAY_MS, -3_650 * DAY_MS]

#: Real time that passes before a record, how wrong the broker's clock is, and whether it is a tick.
records = st.lists(
    st.tuples(st.integers(0, 90 * MINUTE_MS), st.sampled_from([0, 0, 0, *WRONG_MS]), st.booleans()),
    min_size=1,
)


@given(records)
def test_a_wrong_broker_moves_stream_time_by_five_minutes_at_most(
    log: list[tuple[int, int, bool]],
) -> None:
    """Ahead at any record, and behind what the log had come to, but for ticks."""
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
def test_a_wrong_worker_takes_the_time_of_every_event_as_it_is(
    log: list[tuple[int, int, bool]], wrong_ms: int
) -> None:
    """API server and broker agree against it; ticks do not lead the last event by much."""
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
def test_a_wrong_api_server_moves_no_stream_time(
    log: list[tuple[int, int, bool]], wrong_ms: int
) -> None:
    """Broker and worker agree against it."""
    times, real_ms = StreamTime(), NOON_MS
    for offset, (wait_ms, _, is_tick) in enumerate(log):
        real_ms += wait_ms
        times.begin_batch(real_ms)
        found = times.limit(source(offset, real_ms), None if is_tick else real_ms + wrong_ms)
        assert found.log_ms == real_ms
