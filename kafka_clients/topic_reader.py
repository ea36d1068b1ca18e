"""Reading whole topics without a consumer group, with a client that is replaced if it hangs."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka import TopicPartition

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings

#: `fetch.max.wait.ms`, and the poll timeout at the end of a topic. New records end both. A fetch
#: costs the broker a millisecond of CPU.
IDLE_MS = 15_000
#: A client that has read nothing for this long is replaced: after a broker was killed, it can hang
#: without an error (docs/adr/0051).
SILENT_SECONDS = 60.0
_MAX_RECORDS = 1_000

Fetch = Mapping[TopicPartition, Sequence[Any]]


def make_topic_reader(kafka: KafkaSettings, *topics: str) -> Any:
    """Return a consumer, not started, of all partitions of `topics` from the earliest offset."""
    return make_consumer(
        kafka,
        *topics,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=IDLE_MS,
        consumer_timeout_ms=IDLE_MS,
    )


async def fetches(
    consumer: Any, wait_ms: Callable[[], int], clock: Callable[[], float] = monotonic
) -> AsyncIterator[Fetch]:
    """Yield an empty fetch, then the next ones, until no record arrives for `SILENT_SECONDS`.

    `wait_ms` returns the poll timeout, after which an empty fetch is yielded.
    """
    fetched: Fetch = {}
    last = clock()
    while clock() - last < SILENT_SECONDS:
        yield fetched
        fetched = await consumer.getmany(timeout_ms=wait_ms(), max_records=_MAX_RECORDS)
        if fetched:
            last = clock()
