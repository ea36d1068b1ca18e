"""The time of the next record to do, where compaction or transactions left gaps."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from infra.status.next_records import log_times

_PLACE = TopicPartition("sessions", 0)


class _Consumer:
    """A partition with records at some offsets; the end is behind the last of them, or a marker."""

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
async def test_the_first_record_that_is_left_says_since_when_it_waits(
    offsets: list[int], begin: int, end: int, expected: dict[TopicPartition, int]
) -> None:
    """Where none is left, everything is done, whatever the offsets say."""
    consumer = _Consumer(offsets, end)

    assert await log_times(consumer, {_PLACE: begin}, {_PLACE: end}) == expected


async def test_nothing_behind_is_nothing_read() -> None:
    """Not even a partition is assigned."""
    assert await log_times(None, {}, {}) == {}
