"""How many dead letters operators have discarded, for the metrics: read from `replays`."""

from contextlib import suppress

from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import REPLAYS
from streams.engine.global_table import GlobalTable
from streams.engine.worker import Worker


def register(worker: Worker, kafka: KafkaSettings, partitions: int) -> None:
    """Keep `worker.discarded` at the number of discarded dead letters in the topic."""
    discarded: set[bytes] = set()

    def apply(key: bytes | None, value: bytes | None) -> None:
        if key is None:
            return
        discarded.discard(key)
        with suppress(CodecError):  # the table of route_events logs it
            if value is not None and decode(value, Replay).discard_reason is not None:
                discarded.add(key)
        worker.discarded = len(discarded)

    worker.background(GlobalTable(kafka, REPLAYS.name, partitions, apply).run)
