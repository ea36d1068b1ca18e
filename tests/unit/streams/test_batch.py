from collections.abc import Sequence

import pytest

from schemas.headers import find
from schemas.reject_reasons import DeadLetterReason
from streams.engine.batch import Batch
from streams.engine.circuit_breaker import (
    MAX_CONSECUTIVE_DEAD_LETTERS,
    CircuitBreaker,
    PartitionStoppedError,
)
from streams.engine.fencing import Fence, FencedError
from tests.component.streams.bench import InRecord


def a_batch(bad: Sequence[bool], first_offset: int = 0, partition: int = 0) -> Batch:
    """Return a batch in which some records are dead-lettered."""
    records = [
        InRecord(first_offset + index, b"k", b"v", (("type", b"t"),)) for index in range(len(bad))
    ]
    batch = Batch("route_events", "events-raw", partition, records)
    for record, is_bad in zip(records, bad, strict=True):
        if is_bad:
            batch.reject(record, DeadLetterReason.UNDECODABLE, "x" * 9_000)
    return batch


def test_a_batch_has_the_offsets_of_its_records() -> None:
    """The first and the last."""
    batch = a_batch([False] * 3, first_offset=7)

    assert batch.last_offset == 9


def test_a_dead_letter_has_the_bytes_and_the_reason() -> None:
    """It keeps the headers of the record; further headers have agent, position and time."""
    ((key, value, headers),) = a_batch([False, True]).dead_letters

    assert (key, value) == (b"k", b"v")
    assert find(headers, "type") == b"t"
    fields = {name: text.decode() for name, text in headers if name.startswith("dlq-")}
    assert int(fields.pop("dlq-at")) > 1_700_000_000_000
    assert len(fields.pop("dlq-detail")) == 500
    assert fields == {
        "dlq-reason": "undecodable",
        "dlq-stage": "route_events",
        "dlq-topic": "events-raw",
        "dlq-partition": "0",
        "dlq-offset": "1",
    }


def test_an_exception_dead_letters_only_its_record() -> None:
    """The error is the detail; the exception that stops a worker is propagated."""
    batch = a_batch([False, False])
    for record in batch.records:
        with batch.rejecting(record):
            if record.offset == 0:
                raise ZeroDivisionError("by zero")

    assert batch.dead_letter_offsets == {0}
    assert find(batch.dead_letters[0].headers, "dlq-detail") == b"ZeroDivisionError('by zero')"
    with pytest.raises(KeyboardInterrupt), batch.rejecting(batch.records[1]):
        raise KeyboardInterrupt
    assert batch.dead_letter_offsets == {0}


def test_outputs_keep_their_order_by_topic_and_partition() -> None:
    """They are sent in whole batches."""
    batch = a_batch([False])
    batch.emit("a", 0, b"k", b"1")
    batch.emit("a", 1, b"k", b"2")
    batch.emit("a", 0, None, None, (("h", b"3"),))

    assert {place: [out.value for out in outs] for place, outs in batch.outputs.items()} == {
        ("a", 0): [b"1", None],
        ("a", 1): [b"2"],
    }


def test_consecutive_dead_letters_are_counted_across_batches() -> None:
    """A valid record resets the count."""
    assert list(a_batch([True, True, False, True]).consecutive_dead_letters(5)) == [6, 7, 0, 1]
    assert list(a_batch([False, False]).consecutive_dead_letters(5)) == [0]


FIFTY = [True] * MAX_CONSECUTIVE_DEAD_LETTERS


def test_too_many_consecutive_dead_letters_open_the_circuit_breaker() -> None:
    """Also across batches. Then no record of the partition has an effect, valid ones included."""
    breaker = CircuitBreaker()
    breaker.check(a_batch(FIFTY))
    breaker.note_processed(a_batch(FIFTY))

    with pytest.raises(PartitionStoppedError, match=r"51 records of events-raw/0 in a row .*dlq"):
        breaker.check(a_batch([True], first_offset=50))
    with pytest.raises(PartitionStoppedError):
        breaker.check(a_batch([False], first_offset=51))
    assert "before offset 51" in breaker.stopped["events-raw", 0]


def test_a_valid_record_in_between_keeps_the_circuit_breaker_closed() -> None:
    """Poison records are rare; a bug affects every record."""
    breaker = CircuitBreaker()
    for number in range(9):
        batch = a_batch([*FIFTY, False], first_offset=51 * number)
        breaker.check(batch)
        breaker.note_processed(batch)

    assert breaker.stopped == {}


def test_other_partitions_continue() -> None:
    """Each partition has its own count."""
    breaker = CircuitBreaker()
    breaker.note_processed(a_batch(FIFTY))

    breaker.check(a_batch([True], partition=1))
    assert breaker.stopped == {}


def test_a_batch_that_is_processed_again_is_not_counted_twice() -> None:
    """Only completed batches count."""
    breaker = CircuitBreaker()
    for _ in range(3):
        breaker.check(a_batch(FIFTY))

    assert breaker.stopped == {}


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_responsive_event_loop_is_not_fenced() -> None:
    """Each heartbeat starts a new interval."""
    clock = Clock()
    guard = Fence(5, clock)
    for _ in range(10):
        clock.now += 5
        guard.heartbeat()

    clock.now += 5
    guard.check()


@pytest.mark.parametrize("look", ["check", "heartbeat"])
def test_a_stalled_event_loop_stops_the_worker_before_a_write(look: str) -> None:
    """Whichever check runs first, and permanently."""
    clock = Clock()
    guard = Fence(5, clock)
    clock.now += 5.1

    with pytest.raises(FencedError, match=r"suspended for 5\.1 s, longer than 5\.0 s"):
        getattr(guard, look)()
    with pytest.raises(FencedError):
        guard.check()


async def test_the_heartbeat_fails_after_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a write, because the group has reassigned the partitions."""
    monkeypatch.setattr("streams.engine.fencing._HEARTBEAT_SECONDS", 0)
    clock = Clock()
    guard = Fence(5, clock)
    clock.now += 6

    with pytest.raises(FencedError):
        await guard.monitor()
