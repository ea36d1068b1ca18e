"""The iterator of fetches ends when a client has read nothing for a minute."""

from itertools import count
from typing import Any

from kafka_clients.topic_reader import fetches


class _Consumer:
    """Returns prepared fetches, then empty ones."""

    def __init__(self, *prepared: dict[str, list[int]]) -> None:
        self._prepared = list(prepared)

    async def getmany(self, **_: Any) -> dict[str, list[int]]:
        """Return the next fetch."""
        return self._prepared.pop(0) if self._prepared else {}


async def test_reading_ends_when_the_client_is_silent() -> None:
    """An empty fetch is yielded at once; each record restarts the minute."""
    consumer = _Consumer({"a": [1]}, {}, {"a": [2]})
    every_25_seconds = count(0.0, 25.0).__next__

    fetched = [fetch async for fetch in fetches(consumer, lambda: 0, every_25_seconds)]

    assert fetched == [{}, {"a": [1]}, {}, {"a": [2]}, {}]
