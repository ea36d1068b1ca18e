"""The sliding window, compared with a count over all windows."""

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.alerts.sliding_count import (
    MAX_EXACT_COUNT,
    MAX_SLOTS,
    SLOTS_PER_WINDOW,
    SlidingCount,
    slot_size_of,
)
from tests.reference import count_error

WINDOW_MS = 60_000


@st.composite
def histories(draw: st.DrawFn) -> list[int]:
    """Draw times of events: bursts and pauses, from partitions up to two windows apart."""
    waits = st.sampled_from([0, 0, 1, 1_000, 20_000, WINDOW_MS - 1, WINDOW_MS, 3 * WINDOW_MS])
    lateness = st.sampled_from([0, 0, 0, 1, 10_000, WINDOW_MS, WINDOW_MS + 1, 2 * WINDOW_MS])
    now, times = 1_775_044_800_000 + draw(st.integers(0, WINDOW_MS)), []
    for wait, late in draw(st.lists(st.tuples(waits, lateness), max_size=80)):
        now += wait
        times.append(now - late)
    return times


@given(histories(), st.sampled_from([1, 2, 3, 5, 10, 30]))
def test_small_counts_are_exact(history: list[int], threshold: int) -> None:
    """The threshold is reached if any window contains that many events."""
    counts, times = SlidingCount(), list[int]()
    for at_ms in history:
        counts = counts.add(at_ms, WINDOW_MS, 1)
        found = counts.max_around(at_ms, WINDOW_MS, 1) >= threshold
        assert found == count_error(times, at_ms, threshold, WINDOW_MS)
    assert len(counts.slot_ms) == len(counts.counts) <= MAX_SLOTS


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**63))
def test_a_burst_of_more_slots_than_a_state_holds_is_exact(
    threshold: int, longest_wait: int, seed: int
) -> None:
    """Dropped slots belong to windows that had reached the threshold."""
    chance = random.Random(seed)  # noqa: S311 - hypothesis chooses the seed
    counts, times, now = SlidingCount(), list[int](), 0
    for _ in range(500):
        now += chance.randint(0, longest_wait)
        counts = counts.add(now, 1_000, 1)
        found = counts.max_around(now, 1_000, 1) >= threshold
        times = [time for time in times if time >= now - 1_000]
        assert found == count_error(times, now, threshold, 1_000)
    assert len(counts.slot_ms) <= MAX_SLOTS


@given(histories())
def test_large_counts_are_never_too_low(history: list[int]) -> None:
    """They may include events that are up to 1 % outside the window."""
    size = slot_size_of(MAX_EXACT_COUNT + 1, WINDOW_MS)
    times = sorted(history)
    counts = SlidingCount()
    for number, at_ms in enumerate(times, 1):
        counts = counts.add(at_ms, WINDOW_MS, size)
        before = times[:number]
        within = sum(at_ms - WINDOW_MS <= time for time in before)
        wider = sum(at_ms - WINDOW_MS - size < time for time in before)

        assert within <= counts.max_around(at_ms, WINDOW_MS, size) <= wider
        assert len(counts.slot_ms) <= MAX_SLOTS
    assert size == WINDOW_MS // SLOTS_PER_WINDOW
