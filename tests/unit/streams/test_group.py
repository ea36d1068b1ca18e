"""A member of a group through rebalances, on a consumer that does what a test says."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    KafkaConnectionError,
)

from schemas.kafka_settings import KafkaSettings
from streams.engine import group, group_offsets
from streams.engine.group import GroupMember
from tests.fixtures.waiting import eventually_async

ZERO, ONE = TopicPartition("events", 0), TopicPartition("events", 1)


class Consumer:
    """Hands out `logs`, of partitions that are assigned and not paused."""

    def __init__(self) -> None:
        self.logs: defaultdict[TopicPartition, list[Any]] = defaultdict(list)
        self.positions: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.refusal: Exception | None = None
        self.fetches = 0
        self.begin = 0

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    def subscribe(self, _topics: Sequence[str], *, listener: Any) -> None:
        """Keep the listener."""
        self.listener = listener

    def write(self, tp: TopicPartition) -> None:
        """Append a record to a log."""
        self.logs[tp].append(SimpleNamespace(offset=len(self.logs[tp]), timestamp=0))

    async def assign(self, *owned: TopicPartition) -> None:
        """Rebalance."""
        await self.listener.on_partitions_revoked(set(self.positions))
        self.positions = dict.fromkeys(owned, 0)
        self.paused = set()
        await self.listener.on_partitions_assigned(set(owned))

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> Mapping[TopicPartition, list[Any]]:
        """Return what there is, when there is something; raise what the group was refused."""
        del timeout_ms, max_records
        self.fetches += 1
        while True:
            if self.refusal is not None:
                raise self.refusal
            found = {
                tp: self.logs[tp][self.positions[tp] :]
                for tp in places
                if tp in self.positions and tp not in self.paused
            }
            found = {tp: records for tp, records in found.items() if records}
            for tp in found:
                self.positions[tp] = len(self.logs[tp])
            if found:
                return found
            await asyncio.sleep(0)

    async def position(self, tp: TopicPartition) -> int:
        """Return what is read next."""
        return self.positions[tp]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Set what is read next."""
        self.positions[tp] = offset

    def pause(self, *places: TopicPartition) -> None:
        """Stop reading partitions."""
        self.paused |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        """Continue reading partitions."""
        self.paused -= set(places)

    def highwater(self, tp: TopicPartition) -> int:
        """Return the end of a log."""
        return len(self.logs[tp])

    async def beginning_offsets(
        self, places: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where logs begin."""
        return dict.fromkeys(places, self.begin)

    async def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return where logs end."""
        return {tp: len(self.logs[tp]) for tp in places}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note offsets."""
        self.committed |= offsets


class Worker:
    """Notes the offsets that it was given; a batch takes effect when `may_go_on`."""

    def __init__(self) -> None:
        self.given: list[tuple[int, int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.starts: dict[TopicPartition, int] = {}
        self.failures: list[Exception] = []

    async def process(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process a batch."""
        self.given += [(tp.partition, record.offset) for record in records]
        await self.may_go_on.wait()
        return True

    async def take_over(self, _: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return where to begin, unless it fails first."""
        if self.failures:
            raise self.failures.pop()
        return self.starts


class _Slow(Worker):
    """Takes over when it `may_end`, whether it is cancelled or not."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.ended = 0

    async def take_over(self, owned: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return where to begin."""
        self.begun.set()
        while not self.may_end.is_set():
            with suppress(asyncio.CancelledError):
                await self.may_end.wait()
        self.ended += 1
        return await super().take_over(owned)


class _Endless(Worker):
    """Never takes over."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def take_over(self, _: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Wait."""
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """Give the consumer that the member gets."""
    made = Consumer()

    async def committed(*_: object) -> Mapping[TopicPartition, int]:
        return dict(made.committed)

    monkeypatch.setattr(group, "make_consumer", lambda *_, **__: made)
    monkeypatch.setattr(group_offsets, "fetch_committed", committed)
    monkeypatch.setattr(group, "_RETRY_SECONDS", 0.0)
    return made


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[tuple[GroupMember, asyncio.Future[None]]]:
    """Give a member that has joined, and its run."""
    member = GroupMember(KafkaSettings(), "app", ["events"], worker.process, worker.take_over)
    run = asyncio.ensure_future(member.run())
    await asyncio.sleep(0)
    try:
        yield member, run
    finally:
        await member.stop()
        run.cancel()
        await asyncio.wait([run])


async def _given(worker: Worker, *expected: tuple[int, int]) -> None:
    await eventually_async(
        lambda: worker.given == list(expected), within_seconds=10, what=f"given is {expected}"
    )


async def test_a_fetch_does_not_outlive_its_assignment(consumer: Consumer) -> None:
    """Its records would be taken from the next assignment, and nobody would process them."""
    worker = Worker()
    async with running(worker):
        await consumer.assign(ZERO, ONE)
        await eventually_async(lambda: consumer.fetches >= 2, within_seconds=10, what="it reads")
        await consumer.assign(ZERO)
        consumer.write(ZERO)

        await _given(worker, (0, 0))


async def test_a_rebalance_waits_for_the_batch_in_progress_and_commits_it(
    consumer: Consumer,
) -> None:
    """So the next owner does not repeat it."""
    worker = Worker()
    worker.may_go_on.clear()
    async with running(worker):
        await consumer.assign(ZERO)
        consumer.write(ZERO)
        await _given(worker, (0, 0))
        rebalance = asyncio.ensure_future(consumer.assign(ONE))
        await asyncio.sleep(0)
        assert not rebalance.done()
        worker.may_go_on.set()
        await rebalance

        assert consumer.committed == {ZERO: 1}


async def test_the_end_commits_what_is_done(consumer: Consumer) -> None:
    """Also a batch that was in progress."""
    worker = Worker()
    async with running(worker):
        await consumer.assign(ZERO)
        consumer.write(ZERO)
        await _given(worker, (0, 0))

    assert consumer.committed == {ZERO: 1}


async def test_reading_begins_where_the_worker_says_but_not_before_the_log(
    consumer: Consumer,
) -> None:
    """Retention may have deleted what was wanted."""
    worker = Worker()
    worker.starts = {ZERO: 0, ONE: 2}
    consumer.begin = 1
    for tp in (ZERO, ONE) * 3:
        consumer.write(tp)
    async with running(worker) as (member, _):
        await consumer.assign(ZERO, ONE)
        await eventually_async(lambda: len(worker.given) == 3, within_seconds=10, what="all read")

        assert set(worker.given) == {(0, 1), (0, 2), (1, 2)}
        assert not member.is_rebalancing


async def test_a_take_over_is_tried_again_while_kafka_is_away(
    consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is read meanwhile."""
    worker = Worker()
    worker.failures = [KafkaConnectionError("gone")]
    consumer.write(ZERO)
    async with running(worker):
        await consumer.assign(ZERO)

        await _given(worker, (0, 0))
    assert "cannot take over the partitions" in caplog.text


async def test_nothing_is_read_before_the_offsets_of_the_group_are_loaded(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them, a partition would be read from its beginning."""
    worker = Worker()
    answers: list[Exception | Mapping[TopicPartition, int]]
    answers = [KafkaConnectionError("loading"), {ZERO: 2}]

    async def ask(*_: object) -> Mapping[TopicPartition, int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(group_offsets, "fetch_committed", ask)
    for _ in range(3):
        consumer.write(ZERO)
    async with running(worker):
        await consumer.assign(ZERO, ONE)

        await _given(worker, (0, 2))
    assert not answers


async def test_a_take_over_that_another_rebalance_ends_opens_nothing(consumer: Consumer) -> None:
    """Though what it waits for swallows its cancellation, as closing a consumer can."""
    worker = _Slow()
    async with running(worker) as (member, _):
        await consumer.assign(ZERO)
        await worker.begun.wait()
        await consumer.assign(ZERO)
        worker.may_end.set()
        await eventually_async(lambda: worker.ended == 2, within_seconds=10, what="both ended")

        assert member.generation == 1


async def test_a_batch_that_outlives_its_assignment_does_not_move_the_next(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may have processed more meanwhile: its commit stays."""
    monkeypatch.setattr(group, "_DRAIN_SECONDS", 0.0)
    worker = Worker()
    worker.may_go_on.clear()
    async with running(worker):
        await consumer.assign(ZERO)
        consumer.write(ZERO)
        await _given(worker, (0, 0))
        for _ in range(2):
            consumer.write(ZERO)
        await consumer.assign(ONE)
        consumer.committed[ZERO] = 3
        await consumer.assign(ZERO)
        worker.may_go_on.set()
        await asyncio.sleep(0)
        await consumer.assign(ONE)

        assert consumer.committed[ZERO] == 3


async def test_what_kafka_refuses_for_good_ends_the_member(consumer: Consumer) -> None:
    """Also while it waits to join."""
    consumer.refusal = GroupAuthorizationFailedError("app")
    async with running(Worker()) as (_, run):
        with pytest.raises(GroupAuthorizationFailedError):
            await run


async def test_workers_of_an_earlier_version_are_waited_for(consumer: Consumer) -> None:
    """They share out partitions in another way: Kafka lets nobody join them."""
    consumer.refusal = InconsistentGroupProtocolError()
    worker = Worker()
    async with running(worker) as (member, run):
        await eventually_async(lambda: member.problem, within_seconds=10, what="it says so")
        assert not run.done()
        consumer.refusal = None
        await consumer.assign(ZERO)
        assert member.problem is None


async def test_a_stop_does_not_wait_for_a_take_over(consumer: Consumer) -> None:
    """Which waits for as long as a changelog has no leader."""
    worker = _Endless()
    async with running(worker) as (member, _):
        await consumer.assign(ZERO)
        await worker.begun.wait()
        async with asyncio.timeout(10):
            await member.stop()

        assert member.is_rebalancing
