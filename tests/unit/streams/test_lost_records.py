import pytest
from aiokafka import TopicPartition

from streams.engine.lost_records import (
    Flow,
    LogOffsets,
    expired_counts,
    expired_unrouted,
    offsets_to_commit,
)

FLOW = Flow("raw", ["session", "alert"], spread=["alert"])
PARTITIONS = range(2)


def place(name: str) -> TopicPartition:
    """Return the partition of a name such as `raw-0`."""
    topic, _, partition = name.partition("-")
    return TopicPartition(topic, int(partition))


def logs(committed: dict[str, int], begins: dict[str, int]) -> LogOffsets:
    """Return logs with the offsets 0 to 100, or those given."""
    places = [TopicPartition(topic, one) for topic in ("raw", *FLOW.routed) for one in PARTITIONS]
    return LogOffsets(
        {place(name): offset for name, offset in committed.items()},
        dict.fromkeys(places, 0) | {place(name): offset for name, offset in begins.items()},
        dict.fromkeys(places, 100),
    )


@pytest.mark.parametrize(
    ("committed", "begins", "wanted"),
    [
        ({}, {}, {}),
        ({"session-0": 40}, {"session-0": 40}, {}),
        ({"session-0": 100}, {"session-0": 100, "raw-0": 30}, {}),
        ({"raw-0": 10}, {"raw-0": 30}, {}),
        ({"session-0": 40}, {"session-0": 41}, {"session-0": 100, "raw-0": 0}),
        ({"session-1": 40}, {"session-1": 90, "raw-1": 7}, {"session-1": 100, "raw-1": 7}),
        ({}, {"session-0": 1}, {"session-0": 100, "raw-0": 0}),
        ({"alert-1": 0}, {"alert-1": 100}, {"alert-1": 100, "raw-0": 0, "raw-1": 0}),
    ],
)
def test_lost_records_are_routed_again(
    committed: dict[str, int], begins: dict[str, int], wanted: dict[str, int]
) -> None:
    """From the partition itself, or from all partitions for a topic that all feed."""
    found = offsets_to_commit(logs(committed, begins), FLOW)
    assert found == {place(name): offset for name, offset in wanted.items()}


@pytest.mark.parametrize("begin", [1, 50, 100])
def test_a_group_that_commits_the_positions_has_no_gap(begin: int) -> None:
    """So a worker killed right after repeats nothing."""
    before = logs({"session-0": 0, "alert-0": 0}, {"session-0": begin, "alert-0": begin})
    assert expired_counts(before, FLOW.routed) == {
        place("session-0"): begin,
        place("alert-0"): begin,
    }

    after = before._replace(committed={**before.committed, **offsets_to_commit(before, FLOW)})
    assert expired_counts(after, FLOW.routed) == {}
    assert offsets_to_commit(after, FLOW) == {}


@pytest.mark.parametrize(
    ("committed", "begins", "expired"),
    [
        ({"raw-0": 30}, {"raw-0": 30}, 0),
        ({"raw-0": 10, "raw-1": 99}, {"raw-0": 30, "raw-1": 100}, 21),
        ({"session-0": 1}, {"session-0": 9, "raw-0": 30}, 0),
    ],
)
def test_records_that_expired_before_routing_are_counted(
    committed: dict[str, int], begins: dict[str, int], expired: int
) -> None:
    """In the source topic only, and only where the group had an offset."""
    assert expired_unrouted(logs(committed, begins), FLOW.source) == expired
