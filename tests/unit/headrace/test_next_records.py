"""The log time of the next record, with gaps by compaction and transactions."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from headrace.ops.status.next_records import log_times

_PLACE = TopicPartition("sessions", 0)


class _Consumer:
    """A partition with records at some offsets; its end may be after transaction markers."""

    def __init__(self, offsets: Iterable[int], end: int) -> None:
        self._offsets = list(offsets)
        self._end = end
        self._at = 0

    def assign(self, _: list[TopicPartition]) -> None:
        pass

    def pause(self, _: TopicPartition) -> None:
        pass

    def seek(self, _: TopicPartition, offset: int) -> None:
        self._at = offset

    async def position(self, _: TopicPartition) -> int:
        return self._at

    async def getmany(self, *_: TopicPartition, timeout_ms: int) -> dict[TopicPartition, Any]:
        assert timeout_ms
        found = [
            SimpleNamespace(offset=at, timestamp=at * 10) for at in self._offsets if at >= self._at
        ]
        self._at = self._end
        return {_PLACE: found} if found else {}


@pytest.mark.parametrize(
    ("offsets", "begin", "end", "expected"),
    [
        ([0, 1, 2], 1, 3, {_PLACE: 10}),
        ([0, 7], 1, 8, {_PLACE: 70}),  # compaction took 1 to 6
        ([0], 1, 2, {}),  # the rest is the marker of a transaction
        ([], 0, 5, {}),  # retention or compaction took all
        ([0, 5], 1, 5, {}),  # written after the end was asked for
    ],
)
async def test_the_time_is_that_of_the_next_record(
    offsets: list[int], begin: int, end: int, expected: dict[TopicPartition, int]
) -> None:
    """Partitions without a record in the range are left out."""
    consumer = _Consumer(offsets, end)

    assert await log_times(consumer, {_PLACE: begin}, {_PLACE: end}) == expected


async def test_without_lag_nothing_is_read() -> None:
    """No partition is assigned."""
    assert await log_times(None, {}, {}) == {}
