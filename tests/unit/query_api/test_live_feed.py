"""The latency of live streams, from the confirmation of an event to the message that has it."""

from query_api.live_feed import INTERVAL_SECONDS, LiveFeed
from query_api.live_store import LiveStore
from schemas.codec import encode
from schemas.records import LatestEvent
from tests.unit.query_api.test_live import NOW_MS, partial


class Feed:
    """A feed with clocks that tests advance, and the latencies that it observed."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.store = LiveStore(lambda: self.now_ms)
        self.latencies: list[float] = []
        self.feed = LiveFeed(self.store, lambda: self.now_ms / 1_000, self.latencies.append)

    def count(self, sessions: int, event_ms: int, partition: int = 0) -> None:
        """Store counters of a partition whose newest event is of this time."""
        counters = partial(
            partition, sessions=sessions, latest=[LatestEvent(event_ms, "pageview", "/")]
        )
        self.store.put(encode(counters), self.now_ms)

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms


async def test_the_latency_is_that_of_the_newest_event_of_each_new_message() -> None:
    """The first message has events from before the stream, and the same event counts once."""
    feed = Feed()
    feed.count(1, NOW_MS - 9_000)
    next_messages = feed.feed.watch("shop", latest=False)
    assert await next_messages()
    assert feed.latencies == []

    feed.advance(int(INTERVAL_SECONDS * 1_000))
    feed.count(2, feed.now_ms - 300)
    feed.count(5, feed.now_ms - 700, partition=1)
    assert await next_messages()
    assert feed.latencies == [0.3]

    feed.advance(int(INTERVAL_SECONDS * 1_000))
    feed.count(1, NOW_MS - 9_000)  # a session became idle
    assert await next_messages()
    assert feed.latencies == [0.3]


async def test_the_latency_is_observed_once_for_all_streams_of_a_site() -> None:
    """They share the message."""
    feed = Feed()
    sources = [feed.feed.watch("shop", latest=False) for _ in range(3)]
    for source in sources:
        await source()
    feed.advance(int(INTERVAL_SECONDS * 1_000))
    feed.count(2, feed.now_ms - 100)
    for source in sources:
        assert await source()

    assert feed.latencies == [0.1]
