"""A process with minimal jobs that show the guarantees of the engine.

`python -m tests.integration.streams.counting_worker <bootstrap> <prefix>`: `forward` copies
`<prefix>-in` to `<prefix>-out` in the same partition, with the source offset in a header;
`count` counts the records of each key in the table `<prefix>-counts`. A record whose value is
`poison` is dead-lettered. It prints a line whenever its readiness changes.
"""

import asyncio
import signal
import struct
import sys
from dataclasses import dataclass

from schemas.headers import SOURCE, Source, find
from schemas.kafka_settings import KafkaSettings
from schemas.reject_reasons import DeadLetterReason
from schemas.topics import Topic
from streams.engine.batch import Batch
from streams.engine.worker import Worker

POISON = b"poison"
_STATE = struct.Struct(">qq")


@dataclass(frozen=True)
class Count:
    """The number of records of a key, and the last applied source offset."""

    src_offset: int
    records: int

    def pack(self) -> bytes:
        """Encode the value of the table."""
        return _STATE.pack(self.src_offset, self.records)

    @classmethod
    def unpack(cls, value: bytes) -> "Count":
        """Decode a value of the table."""
        return cls(*_STATE.unpack(value))


class Names:
    """The topics of a test, with its prefix."""

    def __init__(self, prefix: str) -> None:
        self.app_id = f"{prefix}-app"
        self.source = Topic(f"{prefix}-in", "", "", "")
        self.out = Topic(f"{prefix}-out", "", "", "")
        self.counts = Topic(f"{prefix}-counts", "", "", "", cleanup="compact")
        self.dead_letters = Topic(f"{prefix}-in-dlq", "", "", "")

    def all(self) -> list[Topic]:
        """Return all topics."""
        return [self.source, self.out, self.counts, self.dead_letters]


def build(bootstrap: str, prefix: str) -> Worker:
    """Return the worker, not started."""
    names = Names(prefix)
    worker = Worker(names.app_id, KafkaSettings(bootstrap_servers=bootstrap))
    counts = worker.raw_table(names.counts, Count.pack, Count.unpack)

    @worker.agent(names.source)
    def forward(batch: Batch) -> None:
        for record in batch.records:
            if record.value == POISON:
                batch.reject(record, DeadLetterReason.UNDECODABLE, "poison")
                continue
            src = Source(batch.partition, record.offset, record.timestamp).pack()
            headers = ((SOURCE, src),)
            batch.emit(names.out.name, batch.partition, record.key, record.value, headers)

    @worker.agent(names.out, tables=[counts])
    def count(batch: Batch) -> None:
        states = counts.of(batch.partition)
        for record in batch.records:
            src = Source.unpack(find(record.headers, SOURCE) or b"")
            state = states.get(record.key) or Count(-1, 0)
            if src.offset > state.src_offset:
                states.put(record.key, Count(src.offset, state.records + 1))

    return worker


async def main(bootstrap: str, prefix: str) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    worker = build(bootstrap, prefix)

    async def report() -> None:
        before: str | None = ""
        while True:
            if (reason := worker.not_ready) != before:
                sys.stdout.write(f"{reason or 'ready'}\n")
                sys.stdout.flush()
                before = reason
            await asyncio.sleep(0.05)

    reporting = asyncio.ensure_future(report())
    await worker.run(stop)
    reporting.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
