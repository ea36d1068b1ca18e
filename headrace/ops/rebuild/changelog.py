"""Read the changelog topic of a table, and write states to it."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from headrace.ops.audit.scope import Key
from schemas.batched import batched
from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import PageDuration, SessionState
from schemas.topics import Topic
from streams.engine.changelog_headers import version_header, version_of
from streams.engine.log_tail import LogTail
from streams.engine.producer import BatchProducer, OutRecord

#: Records sent at a time.
_BATCH_SIZE = 5_000

S = TypeVar("S", SessionState, PageDuration)


class StateRef(NamedTuple):
    """A state in the changelog: its partition, key and highest revision."""

    partition: int
    key: bytes
    revision: int


class Put(NamedTuple):
    """A write to the changelog; the value None is a tombstone."""

    partition: int
    key: bytes
    value: bytes | None


class Changelog:
    """The keys and revisions of the states in a changelog topic, by the group key of `events`."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._states: defaultdict[Key, list[StateRef]] = defaultdict(list)
        self._versions: defaultdict[int, int] = defaultdict(lambda: -1)

    async def read(
        self,
        kafka: KafkaSettings,
        partitions: Sequence[int],
        kind: type[S],
        describe: Callable[[S], tuple[Key, int]],
    ) -> None:
        """Read the whole topic, in the way that a stream worker restores it (ADR 2).

        `describe` returns the group key and the revision of a state.
        """
        tail = LogTail(kafka, self._topic.name, sys.maxsize)
        for partition in partitions:
            last: dict[bytes, tuple[int, tuple[Key, int] | None]] = {}
            async for fetched in tail.catch_up(partition):
                for record in fetched:
                    version = version_of(record)
                    if version < last.get(record.key, (-1, None))[0]:
                        continue
                    last[record.key] = (version, _describe(record.value, kind, describe))
                    self._versions[partition] = max(version, self._versions[partition])
            for key, (_, found) in last.items():
                if found is not None:
                    self._states[found[0]].append(StateRef(partition, key, found[1]))

    def pop(self, key: Key) -> list[StateRef]:
        """Remove and return the states of a group."""
        return self._states.pop(key, [])

    def remaining(self) -> Iterator[tuple[Key, list[StateRef]]]:
        """Yield the states that were not popped."""
        yield from self._states.items()

    async def put(self, producer: BatchProducer, states: Sequence[Put]) -> None:
        """Send states with the latest version, so that workers restore them."""
        await send(
            producer,
            self._topic,
            (
                (partition, OutRecord(key, value, version_header(self._versions[partition])))
                for partition, key, value in states
            ),
        )


async def send(
    producer: BatchProducer, topic: Topic, records: Iterable[tuple[int, OutRecord]]
) -> None:
    """Send records to their partitions."""
    for batch in batched(records, _BATCH_SIZE):
        by_partition: defaultdict[int, list[OutRecord]] = defaultdict(list)
        for partition, record in batch:
            by_partition[partition].append(record)
        for partition, part in by_partition.items():
            await producer.send(topic.name, partition, part)


def _describe(
    value: bytes | None, kind: type[S], describe: Callable[[S], tuple[Key, int]]
) -> tuple[Key, int] | None:
    if value is None:
        return None
    try:
        return describe(decode(value, kind))
    except CodecError:  # workers cannot decode it either; no group has the empty key
        return (), 0
