import pytest

from schemas.records import PageDuration
from streams.domain.durations import rules
from streams.domain.durations.aggregator import DurationAggregator
from streams.engine.capacity import MAX_STATES
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import HOUR, HOUR_MS, NOON, NOON_MS, event, source

ENDED_MS = NOON_MS + HOUR_MS


def a_book() -> tuple[FakeStates[PageDuration], DurationAggregator]:
    """Return an empty table and its book."""
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
    """Return the book of the worker that takes over."""
    stored = states.recovered()
    book = DurationAggregator(states, 3)
    for key, state in stored.items():
        book.restore(key, state)
    return book


def leave(book: DurationAggregator, offset: int, log_ms: int = NOON_MS, **fields: object) -> None:
    """Let one page leave happen, in a batch of its own."""
    book.evict(MAX_STATES)
    book.advance(source(offset, log_ms))
    given = {"type": "pageleave", "duration_ms": 1_000, **fields}
    book.add(event(offset, **given), source(offset, log_ms))
    book.flush()


def tick(book: DurationAggregator, log_ms: int = NOON_MS) -> None:
    """Let stream time pass in a batch without a leave."""
    book.evict(MAX_STATES)
    book.advance(source(2, log_ms))
    book.flush()


def test_a_background_tab_counts_six_hours_at_most() -> None:
    """Longer says nothing of reading."""
    states, book = a_book()
    leave(book, 1, duration_ms=2**40)

    assert told(states) == {"/": (1, 1, 6 * HOUR_MS)}


def test_a_leave_without_a_duration_is_not_counted() -> None:
    """It counts in its session."""
    states, book = a_book()
    leave(book, 1, duration_ms=None)

    assert told(states) == {}


def test_a_negative_duration_is_refused() -> None:
    """The API takes none; another writer's goes to the dead letters, and spoils no sum."""
    states, book = a_book()
    with pytest.raises(ValueError, match="-1 ms"):
        leave(book, 1, duration_ms=-1)
    book.flush()

    assert told(states) == {}


def test_keys_are_readable_and_name_the_partition() -> None:
    """They are public; the same page comes from several partitions."""
    states, book = a_book()
    leave(book, 1, event_ts=NOON + 1, path="/a:b")

    assert list(states.staged) == [b"3:shop:2026-04-01T12Z:/a:b"]


def test_an_hour_is_deleted_26_hours_after_it_ended() -> None:
    """Not at it; a leave that comes after that begins another generation."""
    states, book = a_book()
    leave(book, 1)
    states.write()
    tick(book, ENDED_MS + 26 * HOUR_MS)
    assert told(states) == {"/": (1, 1, 1_000)}

    tick(book, ENDED_MS + 26 * HOUR_MS + 1_000)
    tick(book)
    assert told(states) == {}

    leave(book, 9, ENDED_MS + 27 * HOUR_MS)
    assert told(states) == {"/": (9, 1, 1_000)}


def test_an_hour_is_not_deleted_in_the_batch_that_changed_it() -> None:
    """Its last value must be published; the next batch deletes it."""
    states, book = a_book()
    leave(book, 1)
    states.write()
    book.evict(MAX_STATES)
    book.add(event(2, type="pageleave", duration_ms=1), source(2, NOON_MS))
    book.advance(source(2, ENDED_MS + 30 * HOUR_MS))
    book.flush()
    assert told(states) == {"/": (1, 2, 1_001)}

    tick(book)
    assert told(states) == {}


def test_an_hour_is_not_deleted_in_a_batch_that_read_its_leaves_again() -> None:
    """A crash would have them read once more, and counted in another row."""
    states, book = a_book()
    leave(book, 1)
    states.write()
    book = successor(states)
    leave(book, 1)
    book.advance(source(1, ENDED_MS + 30 * HOUR_MS))
    book.flush()
    assert told(states) == {"/": (1, 1, 1_000)}

    tick(book)
    assert told(states) == {}


def test_an_hour_of_an_import_stays_for_an_hour_after_its_last_leave() -> None:
    """It ended months ago; without that each batch would begin a generation."""
    states, book = a_book()
    old = {"event_ts": NOON - 9_000 * 3_600_000_000}
    leave(book, 1, NOON_MS, **old)
    states.write()
    leave(book, 2, NOON_MS + HOUR_MS, **old)
    assert told(states) == {"/": (1, 2, 2_000)}

    tick(book, NOON_MS + 2 * HOUR_MS + 1_000)
    tick(book)
    assert told(states) == {}


def test_a_batch_that_was_taken_back_leaves_nothing_to_delete() -> None:
    """The brake drops what a batch staged."""
    states, book = a_book()
    leave(book, 1)
    states.staged.clear()
    tick(book, ENDED_MS + 30 * HOUR_MS)

    assert states.staged == {}


def test_a_crash_that_wrote_the_rest_alone_loses_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last path of an hour is kept apart when it is read again, too."""
    monkeypatch.setattr(rules, "MAX_PATHS", 1)
    states, book = a_book()
    book.add(event(1, type="pageleave", duration_ms=1, path="/first"), source(1))
    book.add(event(2, type="pageleave", duration_ms=2, path="/second"), source(2))
    book.flush()
    states.staged = dict(reversed(states.staged.items()))
    states.write(most=1)
    assert told(states) == {"(other)": (2, 1, 2)}

    again = successor(states)
    again.add(event(1, type="pageleave", duration_ms=1, path="/first"), source(1))
    again.add(event(2, type="pageleave", duration_ms=2, path="/second"), source(2))
    again.flush()

    assert told(states) == {"/first": (1, 1, 1), "(other)": (2, 1, 2)}


def test_invented_paths_leave_the_pages_that_are_read_their_rows() -> None:
    """Twelve thousand of them, before and after; two sessions that leave a page are enough."""
    states, book = a_book()
    offset = 0

    def read(*paths: str) -> None:
        nonlocal offset
        book.evict(MAX_STATES)
        for path in paths:
            offset += 1
            fields = {"path": path, "session_id": f"s-{offset}", "duration_ms": 1_000}
            book.add(event(offset, type="pageleave", **fields), source(offset))
        book.flush()
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
    states, book = a_book()
    leave(book, 1, path="/a")
    leave(book, 2, path="/b")
    states.write()
    tick(book, ENDED_MS + 30 * HOUR_MS)
    states.write()

    leave(book, 3, ENDED_MS + 30 * HOUR_MS, path="/b")

    assert told(states) == {"/b": (3, 1, 1_000)}


def test_more_hours_than_there_is_room_for_leave_early() -> None:
    """The oldest first; one that comes back is a row of its own."""
    states, book = a_book()
    for offset, hours in enumerate((-2, -3, -1, -3), start=1):
        leave(book, offset, event_ts=NOON + hours * HOUR, path=f"/{hours}")
        states.write()

    assert book.evict(limit=2) == 1
    states.write()
    assert told(states) == {"/-2": (1, 1, 1_000), "/-1": (3, 1, 1_000)}

    leave(book, 5, event_ts=NOON - 3 * HOUR, path="/-3")
    states.write()
    rows = {
        (state.generation, state.leaves) for _, state in states.published if state.path == "/-3"
    }
    assert rows == {(2, 1), (2, 2), (5, 1)}


def test_leaves_of_a_deleted_hour_read_again_begin_nothing() -> None:
    """A crash before the commit has them read once more, and no state knows them."""
    states, book = a_book()
    for offset, hours in enumerate((-2, -1), start=1):
        leave(book, offset, event_ts=NOON + hours * HOUR, path=f"/{hours}")
    states.write()
    book.evict(limit=1)
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
    states, book = a_book()
    leave(book, 1, path="/a")
    states.write()
    for reader in (book, successor(states)):
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
