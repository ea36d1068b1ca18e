"""The salts in the topic: created ahead of their day, the same in all processes, and deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from producer_api.events.derive.salts import DAY_US, Salts
from producer_api.produce.salt_keeper import keep_salts
from schemas.headers import Headers
from schemas.topics import SALTS
from tests.fixtures.waiting import eventually_async

DAY = 20_000
NOON, LATE = DAY_US // 2, DAY_US - DAY_US // 48
TODAY, TOMORROW = b"2024-10-04", b"2024-10-05"


class Batch:
    """The records of a batch."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None]] = []

    def append(self, *, key: bytes, value: bytes | None, timestamp: None, headers: Headers) -> None:
        """Add a record without headers."""
        assert timestamp is None, "the broker sets the timestamp"
        assert not headers
        self.records.append((key, value))


class Topic:
    """The topic in memory, which the salts of several processes follow."""

    def __init__(self) -> None:
        self.time = NOON
        self.records: list[tuple[bytes, bytes | None]] = []
        self.failures = 0
        self.processes: list[Salts] = []

    def now(self) -> int:
        """Return the time of all processes."""
        return DAY * DAY_US + self.time

    def create_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch()

    async def ready(self) -> None:
        """Return at once."""

    async def send_batch(self, batch: object, topic: str, partition: int) -> None:
        """Append the batch; raise instead while there are `failures`."""
        assert isinstance(batch, Batch)
        assert (topic, partition) == (SALTS.name, 0)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no leader")
        await asyncio.sleep(0)
        self.records += batch.records
        for key, value in batch.records:
            for salts in self.processes:
                salts.apply(key, value)

    def new_process(self) -> Salts:
        """Return the salts of another process, which reads the topic from its start."""
        salts = Salts(self.now)
        for key, value in self.records:
            salts.apply(key, value)
        self.processes.append(salts)
        return salts

    def deleted(self) -> list[tuple[bytes, bool]]:
        """Return the key of each record, and whether it is a tombstone."""
        return [(key, value is None) for key, value in self.records]


@asynccontextmanager
async def kept(topic: Topic, *processes: Salts) -> AsyncIterator[None]:
    """Keep the salts of processes that have read the topic."""

    async def loaded() -> None:
        pass

    tasks = [
        asyncio.create_task(keep_salts(salts, topic, loaded, check_seconds=0.001))
        for salts in processes
    ]
    yield
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_all_processes_use_the_same_salt() -> None:
    """Those that create one at the same time use the first; a later process does, too."""
    topic = Topic()
    processes = [topic.new_process() for _ in range(3)]
    async with kept(topic, *processes):
        await eventually_async(
            lambda: all(salts.of(DAY) for salts in processes), within_seconds=20, what="salts"
        )

    assert {key for key, _ in topic.records} == {TODAY}
    later = topic.new_process()
    assert len({salts.of(DAY) for salts in [*processes, later]}) == 1


async def test_tomorrows_salt_is_there_before_midnight() -> None:
    """So that an event never waits for it."""
    topic = Topic()
    salts = topic.new_process()
    async with kept(topic, salts):
        await eventually_async(lambda: salts.of(DAY), within_seconds=20, what="today's salt")
        assert salts.of(DAY + 1) is None
        topic.time = LATE
        await eventually_async(lambda: salts.of(DAY + 1), within_seconds=20, what="tomorrow's salt")

    assert topic.deleted() == [(TODAY, False), (TOMORROW, False)]


async def test_a_salt_is_deleted_everywhere_after_48_hours() -> None:
    """From each process, and by a tombstone from the topic, so that nobody can link its ids."""
    topic = Topic()
    processes = [topic.new_process() for _ in range(2)]
    async with kept(topic, *processes):
        await eventually_async(lambda: processes[0].of(DAY), within_seconds=20, what="a salt")
        topic.time = 2 * DAY_US
        await eventually_async(
            lambda: (TODAY, True) in topic.deleted(), within_seconds=20, what="a tombstone"
        )
        await eventually_async(
            lambda: not any(salts.of(DAY) for salts in processes), within_seconds=20, what="none"
        )

    last = dict(topic.records)
    assert last[TODAY] is None
    assert topic.new_process().of(DAY) is None


async def test_a_failure_is_retried() -> None:
    """Until Kafka has the salt."""
    topic = Topic()
    topic.failures = 3
    salts = topic.new_process()
    async with kept(topic, salts):
        await eventually_async(lambda: salts.of(DAY), within_seconds=20, what="a salt")

    assert topic.deleted() == [(TODAY, False)]


def test_the_broker_deletes_salts_after_48_hours() -> None:
    """By its retention; until then, compaction keeps the first salt of a day."""
    configs = SALTS.configs()

    assert configs["cleanup.policy"] == "compact,delete"
    assert int(configs["retention.ms"]) == 2 * DAY_US // 1_000
    assert int(configs["min.compaction.lag.ms"]) >= int(configs["retention.ms"])
