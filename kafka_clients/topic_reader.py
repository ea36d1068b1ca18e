"""Reading whole topics in no consumer group, by a client that is replaced when it is stuck."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka import TopicPartition

from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings

#: `fetch.max.wait.ms`, and how long to wait for records once a topic is read up to its end.
IDLE_MS = 5_000
#: After a broker was killed, a client can hang without an error (docs/adr/0051). One that has read
#: nothing for this long is replaced, whether it hangs or there is nothing to read.
SILENT_SECONDS = 60.0
_MAX_RECORDS = 1_000

Fetch = Mapping[TopicPartition, Sequence[Any]]


def make_topic_reader(kafka: KafkaSettings, *topics: str) -> Any:
    """Return a consumer that is not started, of all partitions of `topics`, from their start."""
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
    """Yield an empty fetch at once, then each one within `wait_ms`, until the client is silent."""
    fetched: Fetch = {}
    last = clock()
    while clock() - last < SILENT_SECONDS:
        yield fetched
        fetched = await consumer.getmany(timeout_ms=wait_ms(), max_records=_MAX_RECORDS)
        if fetched:
            last = clock()
