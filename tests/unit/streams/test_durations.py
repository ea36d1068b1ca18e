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


def told(states: FakeStates[PageDuration]) -> dict[str, tuple[int, int, int]]:
    """End the batch, and return generation, leaves and sum by path."""
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
    """Let one page leave happen, in a batch of its own."""
    aggregator.evict(MAX_STATES)
    aggregator.advance(source(offset, log_ms))
    given = {"type": "pageleave", "duration_ms": 1_000, **fields}
    aggregator.add(event(offset, **given), source(offset, log_ms))
    aggregator.flush()


def tick(aggregator: DurationAggregator, log_ms: int = NOON_MS) -> None:
    """Let stream time pass in a batch without a leave."""
    aggregator.evict(MAX_STATES)
    aggregator.advance(source(2, log_ms))
    aggregator.flush()


def test_a_background_tab_counts_six_hours_at_most() -> None:
    """Longer says nothing of reading."""
    states, aggregator = new_table()
    leave(aggregator, 1, duration_ms=2**40)

    assert told(states) == {"/": (1, 1, 6 * HOUR_MS)}


def test_a_leave_without_a_duration_is_not_counted() -> None:
    """It counts in its session."""
    states, aggregator = new_table()
    leave(aggregator, 1, duration_ms=None)

    assert told(states) == {}


def test_a_negative_duration_is_refused() -> None:
    """The API takes none; another writer's goes to the dead letters, and spoils no sum."""
    states, aggregator = new_table()
    with pytest.raises(ValueError, match="-1 ms"):
        leave(aggregator, 1, duration_ms=-1)
    aggregator.flush()

    assert told(states) == {}


def test_keys_are_readable_and_name_the_partition() -> None:
    """They are public; the same page comes from several partitions."""
    states, aggregator = new_table()
    leave(aggregator, 1, event_ts=NOON + 1, path="/a:b")

    assert list(states.staged) == [b"3:shop:2026-04-01T12Z:/a:b"]


def test_an_hour_is_deleted_26_hours_after_it_ended() -> None:
    """Not at it; a leave that comes after that begins another generation."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.write()
    tick(aggregator, ENDED_MS + 26 * HOUR_MS)
    assert told(states) == {"/": (1, 1, 1_000)}

    tick(aggregator, ENDED_MS + 26 * HOUR_MS + 1_000)
    tick(aggregator)
    assert told(states) == {}

    leave(aggregator, 9, ENDED_MS + 27 * HOUR_MS)
    assert told(states) == {"/": (9, 1, 1_000)}


def test_an_hour_is_not_deleted_in_the_batch_that_changed_it() -> None:
    """Its last value must be published; the next batch deletes it."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.write()
    aggregator.evict(MAX_STATES)
    aggregator.add(event(2, type="pageleave", duration_ms=1), source(2, NOON_MS))
    aggregator.advance(source(2, ENDED_MS + 30 * HOUR_MS))
    aggregator.flush()
    assert told(states) == {"/": (1, 2, 1_001)}

    tick(aggregator)
    assert told(states) == {}


def test_an_hour_is_not_deleted_in_a_batch_that_read_its_leaves_again() -> None:
    """A crash would have them read once more, and counted in another row."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.write()
    aggregator = successor(states)
    leave(aggregator, 1)
    aggregator.advance(source(1, ENDED_MS + 30 * HOUR_MS))
    aggregator.flush()
    assert told(states) == {"/": (1, 1, 1_000)}

    tick(aggregator)
    assert told(states) == {}


def test_an_hour_of_an_import_stays_for_an_hour_after_its_last_leave() -> None:
    """It ended months ago; without that each batch would begin a generation."""
    states, aggregator = new_table()
    old = {"event_ts": NOON - 9_000 * 3_600_000_000}
    leave(aggregator, 1, NOON_MS, **old)
    states.write()
    leave(aggregator, 2, NOON_MS + HOUR_MS, **old)
    assert told(states) == {"/": (1, 2, 2_000)}

    tick(aggregator, NOON_MS + 2 * HOUR_MS + 1_000)
    tick(aggregator)
    assert told(states) == {}


def test_a_batch_that_was_taken_back_leaves_nothing_to_delete() -> None:
    """The brake drops what a batch staged."""
    states, aggregator = new_table()
    leave(aggregator, 1)
    states.staged.clear()
    tick(aggregator, ENDED_MS + 30 * HOUR_MS)

    assert states.staged == {}


def test_a_crash_that_wrote_the_rest_alone_loses_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last path of an hour is kept apart when it is read again, too."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, aggregator = new_table()
    aggregator.add(event(1, type="pageleave", duration_ms=1, path="/first"), source(1))
    aggregator.add(event(2, type="pageleave", duration_ms=2, path="/second"), source(2))
    aggregator.flush()
    states.staged = dict(reversed(states.staged.items()))
    states.write(limit=1)
    assert told(states) == {"(other)": (2, 1, 2)}

    again = successor(states)
    again.add(event(1, type="pageleave", duration_ms=1, path="/first"), source(1))
    again.add(event(2, type="pageleave", duration_ms=2, path="/second"), source(2))
    again.flush()

    assert told(states) == {"/first": (1, 1, 1), "(other)": (2, 1, 2)}


def test_invented_paths_leave_the_pages_that_are_read_their_rows() -> None:
    """Twelve thousand of them, before and after; two sessions that leave a page are enough."""
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

    found = told(states)
    assert found["/early"][1] == 4
    assert {found[f"/page-{number}"][1] for number in range(50)} == {2}
    assert {found[f"/more-{number}"][1] for number in range(10)} == {2}
    assert len(found) == rules.MAX_PATHS + 50 + 10 + 1
    assert sum(leaves for _, leaves, _ in found.values()) == offset


def test_deleted_paths_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is of what is kept, not of what ever was."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, aggregator = new_table()
    leave(aggregator, 1, path="/a")
    leave(aggregator, 2, path="/b")
    states.write()
    tick(aggregator, ENDED_MS + 30 * HOUR_MS)
    states.write()

    leave(aggregator, 3, ENDED_MS + 30 * HOUR_MS, path="/b")

    assert told(states) == {"/b": (3, 1, 1_000)}


def test_more_hours_than_there_is_room_for_leave_early() -> None:
    """The oldest first; one that comes back is a row of its own."""
    states, aggregator = new_table()
    for offset, hours in enumerate((-2, -3, -1, -3), start=1):
        leave(aggregator, offset, event_ts=NOON + hours * HOUR, path=f"/{hours}")
        states.write()

    assert aggregator.evict(limit=2) == 1
    states.write()
    assert told(states) == {"/-2": (1, 1, 1_000), "/-1": (3, 1, 1_000)}

    leave(aggregator, 5, event_ts=NOON - 3 * HOUR, path="/-3")
    states.write()
    rows = {
        (state.generation, state.leaves) for _, state in states.published if state.path == "/-3"
    }
    assert rows == {(2, 1), (2, 2), (5, 1)}


def test_leaves_of_a_deleted_hour_read_again_begin_nothing() -> None:
    """A crash before the commit has them read once more, and no state knows them."""
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
    assert told(states) == {"/-1": (2, 1, 1_000)}


def test_a_crash_after_a_path_was_deleted_leaves_the_rest_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which paths are kept apart hangs on what is there, so it must be there again."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, aggregator = new_table()
    leave(aggregator, 1, path="/a")
    states.write()
    for reader in (aggregator, successor(states)):
        leave(reader, 2, NOON_MS + 40 * HOUR_MS, path="/b")
        states.write()
        tick(reader)

    assert told(states) == {"(other)": (2, 1, 1_000)}


@pytest.mark.parametrize("hours_ahead", [1, 24, 10 * 365 * 24])
def test_an_hour_ahead_of_the_clock_expires_like_one_that_ends_in_two_hours(
    hours_ahead: int,
) -> None:
    """After the grace period of 26 hours; an import may contain hours that are years ahead."""
    page = rules.page_of(event(1, event_ts=NOON + hours_ahead * HOUR))
    state = rules.add(None, page, [rules.Leave(1_000, source(1, NOON_MS))])

    assert rules.deadline(state) == NOON_MS + (2 + 26) * HOUR_MS
