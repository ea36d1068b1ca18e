"""Agents while the clock of a broker, or of the worker, is wrong."""

import pytest

from schemas.codec import decode
from schemas.records import Alert, RawEvent, SessionState
from schemas.topics import ALERTS, SESSIONS
from tests.component.streams.bench import Bench, routed, routed_tick
from tests.component.streams.test_table_agents import RAISE_ALERTS, SESSIONIZE, a_bench
from tests.unit.streams.samples import DAY_MS, MINUTE_MS, NOON_MS, event

WRONG_MS = [2 * DAY_MS, 96 * MINUTE_MS, 400 * DAY_MS, -96 * MINUTE_MS, -2 * DAY_MS]


class Clock:
    """The worker's clock, which is right by default."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = NOON_MS
        monkeypatch.setattr("streams.engine.events.time.time", lambda: self.now_ms / 1_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the worker's clock, at noon."""
    return Clock(monkeypatch)


def visits(bench: Bench) -> dict[str, tuple[str, int]]:
    """Return state and number of events of each visit, from its last published record."""
    found: dict[str, tuple[str, int]] = {}
    for _, value in bench.written(SESSIONS):
        if value is not None:
            for visit in decode(value, SessionState).visits:
                found[visit.visit_id] = (visit.state, visit.events)
    return found


async def click(bench: Bench, clock: Clock, offset: int, wrong_ms: int = 0) -> None:
    """Process a click of the session with a log append time that may be wrong."""
    happened = event(offset, event_ts=clock.now_ms * 1_000)
    await bench.run_batch(routed(offset, happened, clock.now_ms + wrong_ms))


@pytest.mark.parametrize("wrong_ms", WRONG_MS)
async def test_a_jump_of_the_broker_clock_closes_no_visit(clock: Clock, wrong_ms: int) -> None:
    """With events before, during and after it, and ticks in between."""
    bench = await a_bench(SESSIONIZE)
    for offset in range(0, 90, 3):
        wrong = wrong_ms if 30 <= offset < 60 else 0
        await click(bench, clock, offset, wrong)
        await bench.run_batch(routed_tick(offset + 1, clock.now_ms + wrong))
        clock.now_ms += 2_000
    assert visits(bench) == dict.fromkeys(visits(bench), ("open", 30))
    assert len(visits(bench)) == 1

    clock.now_ms += 41 * MINUTE_MS
    await bench.run_batch(routed_tick(100, clock.now_ms))
    await bench.run_batch(routed_tick(101, clock.now_ms))

    assert [*visits(bench).values()] == [("closed", 30)]


@pytest.mark.parametrize("wrong_ms", [wrong for wrong in WRONG_MS if wrong > 0])
async def test_states_of_an_earlier_version_in_the_future_close(
    clock: Clock, wrong_ms: int
) -> None:
    """When the clocks of broker and worker agree, they count as changed now."""
    clock.now_ms += wrong_ms  # it believed the broker
    before = await a_bench(SESSIONIZE)
    await before.run_batch(routed(1, event("a"), clock.now_ms))
    clock.now_ms -= wrong_ms
    bench = await a_bench(SESSIONIZE, before)

    for offset in (2, 3):
        clock.now_ms += MINUTE_MS
        await bench.run_batch(routed_tick(offset, clock.now_ms))
    clock.now_ms += 41 * MINUTE_MS
    await bench.run_batch(routed_tick(4, clock.now_ms))

    assert [*visits(bench).values()] == [("closed", 1)]


async def test_a_worker_whose_clock_is_behind_closes_nothing(clock: Clock) -> None:
    """By two days: its ticks close no visit, and restored states do not change."""
    before = await a_bench(SESSIONIZE)
    await before.run_batch(routed(1, event("a"), NOON_MS))
    clock.now_ms -= 2 * DAY_MS
    bench = await a_bench(SESSIONIZE, before)

    for offset in range(2, 9):
        await bench.run_batch(routed_tick(offset, NOON_MS + offset * MINUTE_MS))
    second = event("b", event_ts=(NOON_MS + 9 * MINUTE_MS) * 1_000)
    await bench.run_batch(routed(9, second, NOON_MS + 9 * MINUTE_MS))

    assert [*visits(bench).values()] == [("open", 2)]


@pytest.mark.parametrize("wrong_ms", [2 * DAY_MS, 400 * DAY_MS])
async def test_alerts_are_raised_again_after_a_clock_was_ahead(clock: Clock, wrong_ms: int) -> None:
    """States of an earlier version in the future do not suppress error rates."""

    def error(offset: int) -> RawEvent:
        return event(offset, type="error", error_name="E", event_ts=clock.now_ms * 1_000)

    clock.now_ms += wrong_ms
    before = await a_bench(RAISE_ALERTS)
    await before.run_batch(*(routed(n, error(n), clock.now_ms) for n in range(12)))
    clock.now_ms -= wrong_ms - MINUTE_MS
    bench = await a_bench(RAISE_ALERTS, before)
    await bench.run_batch(routed(20, error(20), clock.now_ms))
    batch = await bench.run_batch(*(routed(n, error(n), clock.now_ms) for n in range(21, 33)))

    raised = [decode(out.value, Alert) for out in batch.outputs[ALERTS.name, 0] if out.value]
    assert [alert.rule for alert in raised] == ["error.rate"]
    assert raised[0].raised_at == clock.now_ms * 1_000
