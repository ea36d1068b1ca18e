"""The upper bound of what aiokafka can do; arguments: JOB BOOTSTRAP PREFIX GROUP EVENTS.

One loop over `getmany`, without rebalances, recovery, fencing or commits: not for production.
"""

import asyncio
import struct
import sys
from collections.abc import Iterable
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.stopwatch import Stopwatch, end_process

_COUNT = struct.Struct(">q")
_BATCH_BYTES = 512 * 1024


async def main() -> None:
    """Run the job until all events are processed."""
    job, bootstrap, prefix, group, events = sys.argv[1:]
    stopwatch = Stopwatch(int(events))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        compression_type="snappy",
        max_batch_size=_BATCH_BYTES,
        max_request_size=4 * _BATCH_BYTES,
    )
    await consumer.start()
    await producer.start()
    source = f"{group}-counts-changelog" if job == "recover" else f"{prefix}-in"
    consumer.assign([TopicPartition(source, partition) for partition in range(4)])
    counts: dict[bytes, int] = {}
    states: dict[bytes, bytes] = {}
    seen = 0
    if job == "recover":
        stopwatch.begin()
    while seen < stopwatch.events:
        for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
            stopwatch.begin()
            seen += len(records)
            if job == "forward":
                pairs = ((record.key, record.value) for record in records)
                await _send(producer, f"{prefix}-out", tp.partition, pairs)
            elif job == "recover":
                states.update((record.key, record.value) for record in records)
            elif job == "table":
                for record in records:
                    counts[record.key] = counts.get(record.key, 0) + 1
                keys = {record.key for record in records}
                changed = ((key, _COUNT.pack(counts[key])) for key in keys)
                await _send(producer, f"{prefix}-counts", tp.partition, changed)
    stopwatch.end()
    end_process()


async def _send(
    producer: Any, topic: str, partition: int, pairs: Iterable[tuple[bytes, bytes]]
) -> None:
    """Send records in batches, each after the ack of the last."""
    builder = producer.create_batch()
    for key, value in pairs:
        if builder.append(timestamp=None, key=key, value=value) is None:
            await _send_batch(producer, builder, topic, partition)
            builder = producer.create_batch()
            builder.append(timestamp=None, key=key, value=value)
    await _send_batch(producer, builder, topic, partition)


async def _send_batch(producer: Any, builder: Any, topic: str, partition: int) -> None:
    builder.close()
    await (await producer.send_batch(builder, topic, partition=partition))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
