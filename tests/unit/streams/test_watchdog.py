"""A worker without progress despite pending records is stopped; a slow or idle one is not."""

import pytest
from aiokafka import TopicPartition

from streams.engine.watchdog import LIMIT_SECONDS, StuckError, Watchdog

PLACE, OTHER = TopicPartition("events", 0), TopicPartition("events", 1)


class Clock:
    """A clock that tests set."""

    now = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now


def test_a_worker_without_progress_is_stopped() -> None:
    """After the limit, not before."""
    watchdog = Watchdog(clock := Clock())
    watchdog.check({PLACE: 5, OTHER: 9}, {PLACE: 8, OTHER: 9})
    clock.now = LIMIT_SECONDS
    watchdog.check({PLACE: 5, OTHER: 9}, {PLACE: 90, OTHER: 9})

    clock.now += 1
    with pytest.raises(StuckError, match="events/0 has the end offset 90 and has been at offset 5"):
        watchdog.check({PLACE: 5, OTHER: 9}, {PLACE: 90, OTHER: 9})


@pytest.mark.parametrize(
    ("done", "ends"),
    [({PLACE: 6}, {PLACE: 8}), ({PLACE: 8}, {PLACE: 8}), ({}, {}), ({PLACE: 5}, {})],
    ids=["it moved", "no work", "it went away", "the end is not known"],
)
def test_the_limit_restarts(
    done: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> None:
    """After progress, without pending records, without partitions, and without Kafka."""
    watchdog = Watchdog(clock := Clock())
    watchdog.check({PLACE: 5}, {PLACE: 8})
    clock.now = LIMIT_SECONDS
    watchdog.check(done, ends)
    clock.now += 2

    watchdog.check({PLACE: 5}, {PLACE: 8})


def test_a_partition_without_progress_is_reported_before() -> None:
    """In the readiness, until it makes progress."""
    watchdog = Watchdog(clock := Clock())
    for clock.now in (0, 20):
        watchdog.check({PLACE: 5}, {PLACE: 8})
        assert watchdog.problem is None
    clock.now = 21
    watchdog.check({PLACE: 5}, {PLACE: 8})
    assert watchdog.problem == "events/0 has 3 records to process and has made no progress for 21 s"
    watchdog.check({PLACE: 6}, {PLACE: 8})
    assert watchdog.problem is None
