import pytest

from schemas.records import PageDuration
from streams.domain.durations import rules
from streams.domain.durations.aggregator import DurationAggregator
from streams.engine.capacity import MAX_STATES
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import HOUR, HOUR_MS, NOON, NOON_MS, event, source

ENDED_MS = NOON_MS + HOUR_MS


def new_table() -> tuple[FakeStates[PageDuration], DurationAggregator]:
    """Return an empty table and its aggregator."""
    states = FakeStates(PageDuration)
    return states, DurationAggregator(states, 3)


def published(states: FakeStates[PageDuration]) -> dict[str, tuple[int, int, int]]:
    """Write the batch, and return generation, leaves and sum by path."""
    states.write()
    return {
        state.path: (state.generation, state.leaves, state.total_ms)
        for state in states.stored().values()
    }


def successor(states: FakeStates[PageDuration]) -> DurationAggregator:
    """Return the aggregator of the worker that takes over."""
    stored = states.recovered()
    aggregator = DurationAggregator(states, 3)
    for key, state in stored.items():
        aggregator.restore(key, state)
    return aggregator


def leave(
    aggregator: DurationAggregator, offset: int, log_ms: int = NOON_MS, **fields: object
) -> None:
    """Process a page leave as one batch."""
    aggregator.evict(MAX_STATES)
    aggregator.advance(source(offset, log_ms))
    given = {"type": "pageleave", "duration_ms": 1_000, **fields}
    aggregator.add(event(offset, **given), source(offset, log_ms))
    aggregator.flush()


def tick(aggregator: DurationAggregator, log_ms: int = NOON_MS) -> None:
    """Advance stream time by a batch without page leaves."""
    aggregator.evict(MAX_STATES)
    aggregator.advance(source(2, log_ms))
    aggregator.flush()


def test_a_background_tab_counts_six_hours_at_most() -> None:
    """A longer duration is not reading time."""
    states, aggregator = new_table()
    leave(aggregator, 1, duration_ms=2**40)

    assert published(states) == {"/": (1, 1, 6 * HOUR_MS)}


def test_a_leave_without_a_duration_is_not_counted() -> None:
    """It counts in its session only."""
    states, aggregator = new_table()
    leave(aggregator, 1, duration_ms=None)

    assert published(states) == {}


def test_a_negative_duration_is_rejected() -> None:
    """The API rejects it; a record of another producer is dead-lettered."""
    states, aggregator = new_table()
    with pytest.raises(ValueError, match="-1 ms"):
        leave(aggregator, 1, duration_ms=-1)
    aggregator.flush()

    assert published(states) == {}


def test_keys_are_readable_and_name_the_partition() -> None:
    """Consumers see them, and several partitions have the same page."""
    states, aggregator = new_table()
    leave(aggregator, 1, event_ts=NOON + 1, path="/a:b")

    assert list(states.staged) == [b"3:shop:2026-04-01T12Z:/a:b"]


def test_an_hour_is_deleted_26_hours_after_it_ended() -> None:
    """Exactly then it is still there. A later leave starts another generation."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.write()
    tick(aggregator, ENDED_MS + 26 * HOUR_MS)
    assert published(states) == {"/": (1, 1, 1_000)}

    tick(aggregator, ENDED_MS + 26 * HOUR_MS + 1_000)
    tick(aggregator)
    assert published(states) == {}

    leave(aggregator, 9, ENDED_MS + 27 * HOUR_MS)
    assert published(states) == {"/": (9, 1, 1_000)}


def test_an_hour_is_not_deleted_in_the_batch_that_changed_it() -> None:
    """Its last value must be published first; the next batch deletes it."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.write()
    aggregator.evict(MAX_STATES)
    aggregator.add(event(2, type="pageleave", duration_ms=1), source(2, NOON_MS))
    aggregator.advance(source(2, ENDED_MS + 30 * HOUR_MS))
    aggregator.flush()
    assert published(states) == {"/": (1, 2, 1_001)}

    tick(aggregator)
    assert published(states) == {}


def test_an_hour_is_not_deleted_in_a_batch_that_replays_its_leaves() -> None:
    """After another crash they would be replayed again, and counted in another row."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.write()
    aggregator = successor(states)
    leave(aggregator, 1)
    aggregator.advance(source(1, ENDED_MS + 30 * HOUR_MS))
    aggregator.flush()
    assert published(states) == {"/": (1, 1, 1_000)}

    tick(aggregator)
    assert published(states) == {}


def test_an_hour_of_an_import_is_kept_for_an_hour_after_its_last_leave() -> None:
    """It ended months ago; otherwise each batch would start a generation."""
    states, aggregator = new_table()
    old = {"event_ts": NOON - 9_000 * 3_600_000_000}
    leave(aggregator, 1, NOON_MS, **old)
    states.write()
    leave(aggregator, 2, NOON_MS + HOUR_MS, **old)
    assert published(states) == {"/": (1, 2, 2_000)}

    tick(aggregator, NOON_MS + 2 * HOUR_MS + 1_000)
    tick(aggregator)
    assert published(states) == {}


def test_a_discarded_batch_leaves_nothing_to_delete() -> None:
    """The circuit breaker discards staged writes."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.staged.clear()
    tick(aggregator, ENDED_MS + 30 * HOUR_MS)

    assert states.staged == {}


def test_a_crash_after_writing_the_other_row_only_loses_no_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a replay, the last path of an hour has its own row as well."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, aggregator = new_table()
    aggregator.add(event(1, type="pageleave", duration_ms=1, path="/first"), source(1))
    aggregator.add(event(2, type="pageleave", duration_ms=2, path="/second"), source(2))
    aggregator.flush()
    states.staged = dict(reversed(states.staged.items()))
    states.write(limit=1)
    assert published(states) == {"(other)": (2, 1, 2)}

    again = successor(states)
    again.add(event(1, type="pageleave", duration_ms=1, path="/first"), source(1))
    again.add(event(2, type="pageleave", duration_ms=2, path="/second"), source(2))
    again.flush()

    assert published(states) == {"/first": (1, 1, 1), "(other)": (2, 1, 2)}


def test_a_flood_of_paths_does_not_displace_visited_pages() -> None:
    """12,000 paths before and after. A page that two sessions leave has its own row."""
    states, aggregator = new_table()
    offset = 0

    def read(*paths: str) -> None:
        nonlocal offset
        aggregator.evict(MAX_STATES)
        for path in paths:
            offset += 1
            fields = {"path": path, "session_id": f"s-{offset}", "duration_ms": 1_000}
            aggregator.add(event(offset, type="pageleave", **fields), source(offset))
        aggregator.flush()
        states.write()

    read("/early", *(f"/junk-{number}" for number in range(12_000)))
    for _ in range(3):
        read(*(f"/page-{number}" for number in range(50)))
        read(*(f"/more-{number}" for number in range(10)), "/early")

    found = published(states)
    assert found["/early"][1] == 4
    assert {found[f"/page-{number}"][1] for number in range(50)} == {2}
    assert {found[f"/more-{number}"][1] for number in range(10)} == {2}
    assert len(found) == rules.MAX_PATHS + 50 + 10 + 1
    assert sum(leaves for _, leaves, _ in found.values()) == offset


def test_deleted_paths_do_not_count_towards_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit applies to the current paths."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, aggregator = new_table()
    leave(aggregator, 1, path="/a")
    leave(aggregator, 2, path="/b")
    states.write()
    tick(aggregator, ENDED_MS + 30 * HOUR_MS)
    states.write()

    leave(aggregator, 3, ENDED_MS + 30 * HOUR_MS, path="/b")

    assert published(states) == {"/b": (3, 1, 1_000)}


def test_hours_over_the_limit_are_evicted() -> None:
    """The oldest first. An evicted hour that returns starts another row."""
    states, aggregator = new_table()
    for offset, hours in enumerate((-2, -3, -1, -3), start=1):
        leave(aggregator, offset, event_ts=NOON + hours * HOUR, path=f"/{hours}")
        states.write()

    assert aggregator.evict(limit=2) == 1
    states.write()
    assert published(states) == {"/-2": (1, 1, 1_000), "/-1": (3, 1, 1_000)}

    leave(aggregator, 5, event_ts=NOON - 3 * HOUR, path="/-3")
    states.write()
    rows = {
        (state.generation, state.leaves) for _, state in states.published if state.path == "/-3"
    }
    assert rows == {(2, 1), (2, 2), (5, 1)}


def test_replayed_leaves_of_a_deleted_hour_start_no_row() -> None:
    """After a crash before the commit they are replayed, and their state is deleted."""
    states, aggregator = new_table()
    for offset, hours in enumerate((-2, -1), start=1):
        leave(aggregator, offset, event_ts=NOON + hours * HOUR, path=f"/{hours}")
    states.write()
    aggregator.evict(limit=1)
    states.write()

    again = successor(states)
    for offset, hours in enumerate((-2, -1), start=1):
        leave(again, offset, event_ts=NOON + hours * HOUR, path=f"/{hours}")
    states.write()
    assert published(states) == {"/-1": (2, 1, 1_000)}


def test_a_crash_after_the_deletion_of_a_path_changes_no_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which paths have their own row depends on the existing states, so they must be the same."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, aggregator = new_table()
    leave(aggregator, 1, path="/a")
    states.write()
    for reader in (aggregator, successor(states)):
        leave(reader, 2, NOON_MS + 40 * HOUR_MS, path="/b")
        states.write()
        tick(reader)

    assert published(states) == {"(other)": (2, 1, 1_000)}


@pytest.mark.parametrize("hours_ahead", [1, 24, 10 * 365 * 24])
def test_an_hour_ahead_of_the_clock_expires_like_one_that_ends_in_two_hours(
    hours_ahead: int,
) -> None:
    """After the grace period of 26 hours; an import may contain hours that are years ahead."""
    page = rules.page_of(event(1, event_ts=NOON + hours_ahead * HOUR))
    state = rules.add(None, page, [rules.Leave(1_000, source(1, NOON_MS))])

    assert rules.deadline(state) == NOON_MS + (2 + 26) * HOUR_MS


@pytest.mark.parametrize(("is_written", "evicted"), [(True, 0), (False, 1)])
def test_hours_that_are_due_make_room_for_the_others(is_written: bool, evicted: int) -> None:
    """They count towards the excess, but an hour of a discarded batch does not."""
    states, aggregator = new_table()
    leave(aggregator, 1, event_ts=NOON - 3 * HOUR, path="/due")
    if not is_written:
        states.staged.clear()
    states.write()
    leave(aggregator, 2, path="/first")
    states.write()
    if not is_written:
        leave(aggregator, 3, path="/second")
        states.write()
    aggregator.advance(source(3, NOON_MS + 25 * HOUR_MS))

    assert aggregator.evict(limit=1) == evicted
    states.write()
    assert len(states.stored()) == 1
