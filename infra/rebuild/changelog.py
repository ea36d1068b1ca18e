"""What a table's topic holds now, and what it is to hold."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from infra.audit.scope import Key
from schemas.batched import batched
from schemas.codec import CodecError, decode
from schemas.kafka_settings import KafkaSettings
from schemas.records import PageDuration, SessionState
from schemas.topics import Topic
from streams.engine.changelog_headers import version_header, version_of
from streams.engine.log_tail import LogTail
from streams.engine.producer import BatchProducer, OutRecord

#: Records that are sent at a time.
_SENT_AT_ONCE = 5_000

S = TypeVar("S", SessionState, PageDuration)


class Held(NamedTuple):
    """A state that the topic holds: where, and its highest revision."""

    partition: int
    key: bytes
    revision: int


class Put(NamedTuple):
    """What a key is to hold from now on; None: nothing."""

    partition: int
    key: bytes
    value: bytes | None


class Changelog:
    """The states that a table's topic holds, by what `events` are gathered by.

    Of each state little more than its key is kept, less than a stream worker does.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._held: defaultdict[Key, list[Held]] = defaultdict(list)
        self._versions: defaultdict[int, int] = defaultdict(lambda: -1)

    async def read(
        self,
        kafka: KafkaSettings,
        partitions: Sequence[int],
        kind: type[S],
        about: Callable[[S], tuple[Key, int]],
    ) -> None:
        """Read the whole topic as a stream worker recovers it (ADR 0002).

        `about` says of a state what it is gathered by, and its revision.
        """
        tail = LogTail(kafka, self._topic.name, sys.maxsize)
        for partition in partitions:
            last: dict[bytes, tuple[int, tuple[Key, int] | None]] = {}
            async for fetched in tail.catch_up(partition):
                for record in fetched:
                    version = version_of(record)
                    if version < last.get(record.key, (-1, None))[0]:
                        continue
                    last[record.key] = (version, _about(record.value, kind, about))
                    self._versions[partition] = max(version, self._versions[partition])
            for key, (_, found) in last.items():
                if found is not None:
                    self._held[found[0]].append(Held(partition, key, found[1]))

    def take(self, key: Key) -> list[Held]:
        """Return what the topic holds of a key of `events`, this once."""
        return self._held.pop(key, [])

    def rest(self) -> Iterator[tuple[Key, list[Held]]]:
        """Yield what was never taken."""
        yield from self._held.items()

    async def put(self, producer: BatchProducer, states: Sequence[Put]) -> None:
        """Send states so that a worker takes them for the newest, and its next ones for newer."""
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
    """Send records, each to its partition."""
    for some in batched(records, _SENT_AT_ONCE):
        by_partition: defaultdict[int, list[OutRecord]] = defaultdict(list)
        for partition, record in some:
            by_partition[partition].append(record)
        for partition, part in by_partition.items():
            await producer.send(topic.name, partition, part)


def _about(
    value: bytes | None, kind: type[S], about: Callable[[S], tuple[Key, int]]
) -> tuple[Key, int] | None:
    if value is None:
        return None
    try:
        return about(decode(value, kind))
    except CodecError:  # a worker could not read it, either; no session has this key
        return (), 0
