"""A group member through rebalances, with a consumer that tests control."""

import asyncio
import gc
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
from streams.engine import fetch_sizing, group, group_offsets, topic_readers
from streams.engine.group import GroupMember
from tests.fixtures.waiting import eventually_async

ZERO, ONE = TopicPartition("events", 0), TopicPartition("events", 1)


class Consumer:
    """Returns the records of `logs` whose partitions are assigned and not paused."""

    def __init__(self) -> None:
        self.logs: defaultdict[TopicPartition, list[Any]] = defaultdict(list)
        self.positions: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        #: What was paused after each call of `pause`: a pause may be over before a test sees it.
        self.pauses: list[set[TopicPartition]] = []
        self.refusal: Exception | None = None
        self.fetches = 0
        self.begin = 0

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    def subscribe(self, _topics: Sequence[str], *, listener: Any) -> None:
        """Store the listener."""
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
        """Wait for records and return them; raise the error of the group, if any."""
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

    def assignment(self) -> set[TopicPartition]:
        """Return the assigned partitions."""
        return set(self.positions)

    async def position(self, tp: TopicPartition) -> int:
        """Return the position."""
        return self.positions[tp]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Set the position."""
        self.positions[tp] = offset

    def pause(self, *places: TopicPartition) -> None:
        """Pause partitions."""
        self.paused |= set(places)
        self.pauses.append(set(self.paused))

    def resume(self, *places: TopicPartition) -> None:
        """Resume partitions."""
        self.paused -= set(places)

    def highwater(self, tp: TopicPartition) -> int:
        """Return the high watermark."""
        return len(self.logs[tp])

    async def beginning_offsets(
        self, places: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return the beginning offsets."""
        return dict.fromkeys(places, self.begin)

    async def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the end offsets."""
        return {tp: len(self.logs[tp]) for tp in places}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Record the committed offsets."""
        self.committed |= offsets


class Worker:
    """Records the offsets of its batches. A batch completes once `may_go_on` is set."""

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
        """Return the start offset, or fail."""
        if self.failures:
            raise self.failures.pop()
        return self.starts


class _Counting(Worker):
    """Records how many batches it processes concurrently."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[TopicPartition] = []
        self.repeated: list[TopicPartition] = []
        self.most = 0

    async def process(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process a batch."""
        self.repeated += [tp] if tp in self.running else []
        self.running.append(tp)
        self.most = max(self.most, len(self.running))
        done = await super().process(tp, records)
        self.running.remove(tp)
        return done


class _Slow(Worker):
    """Takes over once `may_end` is set, even if it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.ended = 0

    async def take_over(self, owned: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the start offset."""
        self.begun.set()
        while not self.may_end.is_set():
            with suppress(asyncio.CancelledError):
                await self.may_end.wait()
        self.ended += 1
        return await super().take_over(owned)


class _Endless(Worker):
    """Waits for ever in the takeover."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def take_over(self, _: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Wait."""
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


class _Failing(Worker):
    """Fails on the batches of a partition, by default of the first one.

    On the first batch once `may_fail` is set, on others once `may_go_on` is.
    """

    def __init__(self, partition: int | None = None) -> None:
        super().__init__()
        self.partition = partition
        self.may_fail = asyncio.Event()
        self.failing: list[TopicPartition] = []

    async def process(self, tp: TopicPartition, records: Sequence[Any]) -> bool:
        """Process a batch."""
        if self.partition is None:
            self.partition = tp.partition
        if tp.partition == self.partition:
            self.failing.append(tp)
            is_first = len(self.failing) == 1
            await (self.may_fail if is_first else self.may_go_on).wait()
            raise LookupError(tp.topic)
        return await super().process(tp, records)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """Return the consumer of the member."""
    made = Consumer()

    async def committed(*_: object) -> Mapping[TopicPartition, int]:
        return dict(made.committed)

    monkeypatch.setattr(group, "make_consumer", lambda *_, **__: made)
    monkeypatch.setattr(group_offsets, "fetch_committed", committed)
    for module in (group, topic_readers):
        monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    return made


@asynccontextmanager
async def running(
    worker: Worker, topics: Sequence[str] = ("events",)
) -> AsyncIterator[tuple[GroupMember, asyncio.Future[None]]]:
    """Yield a member that has joined, and its task."""
    member = GroupMember(KafkaSettings(), "app", topics, worker.process, worker.take_over)
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
    """Its records would be skipped in the next assignment."""
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


async def test_a_stop_commits_completed_batches(consumer: Consumer) -> None:
    """Including the batch in progress."""
    worker = Worker()
    async with running(worker):
        await consumer.assign(ZERO)
        consumer.write(ZERO)
        await _given(worker, (0, 0))

    assert consumer.committed == {ZERO: 1}


async def test_reading_starts_at_the_workers_offset_but_not_before_the_log(
    consumer: Consumer,
) -> None:
    """Retention may have deleted the record at that offset."""
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


async def test_a_takeover_is_retried_while_kafka_is_unreachable(
    consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    """No records are read before it succeeds."""
    worker = Worker()
    worker.failures = [KafkaConnectionError("gone")]
    consumer.write(ZERO)
    async with running(worker):
        await consumer.assign(ZERO)

        await _given(worker, (0, 0))
    assert "cannot take over the partitions" in caplog.text


async def test_no_records_are_read_before_the_group_offsets_are_loaded(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise partitions would be read from the beginning."""
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


async def test_a_takeover_cancelled_by_a_rebalance_has_no_effect(consumer: Consumer) -> None:
    """Also if it swallows the cancellation, as closing a consumer can."""
    worker = _Slow()
    async with running(worker) as (member, _):
        await consumer.assign(ZERO)
        await worker.begun.wait()
        await consumer.assign(ZERO)
        worker.may_end.set()
        await eventually_async(lambda: worker.ended == 2, within_seconds=10, what="both ended")

        assert member.generation == 1


async def test_a_batch_of_a_previous_assignment_does_not_commit(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may have committed a higher offset."""
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


async def test_partitions_are_processed_concurrently_up_to_a_limit(consumer: Consumer) -> None:
    """Each has one batch in progress, because its batches must take effect in order."""
    worker, partitions = _Counting(), [TopicPartition("events", number) for number in range(9)]
    for tp in partitions * 2:
        consumer.write(tp)
    worker.may_go_on.clear()
    async with running(worker):
        await consumer.assign(*partitions)
        await eventually_async(
            lambda: len(worker.running) == topic_readers.CONCURRENT_BATCHES,
            within_seconds=10,
            what="the limit is reached",
        )
        for tp in partitions:
            consumer.write(tp)
        worker.may_go_on.set()
        await eventually_async(lambda: len(worker.given) == 27, within_seconds=10, what="all read")

    assert worker.most == topic_readers.CONCURRENT_BATCHES
    assert not worker.repeated


@pytest.mark.parametrize("other", [ONE, TopicPartition("leaves", 1)])
async def test_a_failed_batch_leaves_the_others_in_progress(
    consumer: Consumer, other: TopicPartition
) -> None:
    """Of any topic. They complete and are committed before their partitions are handed over."""
    worker = _Failing(partition=0)
    worker.may_go_on.clear()
    async with running(worker, ["events", "leaves"]) as (member, run):
        for tp in (ZERO, other):
            consumer.write(tp)
        await consumer.assign(ZERO, other)
        await _given(worker, (1, 0))
        worker.may_fail.set()
        with pytest.raises(LookupError):
            await run
        stopped = asyncio.ensure_future(member.stop())
        for _ in range(10):  # as long as the stop took when it did not wait
            await asyncio.sleep(0)
        assert not stopped.done()

        worker.may_go_on.set()
        await stopped
    assert consumer.committed == {other: 1}


async def test_no_batch_begins_after_a_failed_one(consumer: Consumer) -> None:
    """Its agent may not run any more."""
    worker, partitions = _Failing(), [TopicPartition("events", number) for number in range(9)]
    worker.may_go_on.clear()
    for tp in partitions:
        consumer.write(tp)
    async with running(worker) as (_, run):
        await consumer.assign(*partitions)
        others = topic_readers.CONCURRENT_BATCHES - 1
        await eventually_async(
            lambda: len(worker.given) == others, within_seconds=10, what="the limit is reached"
        )
        worker.may_fail.set()
        with pytest.raises(LookupError):
            await run
        worker.may_go_on.set()

    assert len(worker.given) == others


async def test_a_second_failure_is_not_an_unretrieved_exception(consumer: Consumer) -> None:
    """The event loop would log it; the agent has."""
    unretrieved: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, one: unretrieved.append(one))
    worker, also = _Failing(partition=0), TopicPartition("leaves", 0)
    worker.may_go_on.clear()
    async with running(worker, ["events", "leaves"]) as (_, run):
        for tp in (ZERO, also):
            consumer.write(tp)
        await consumer.assign(ZERO, also)
        await eventually_async(
            lambda: len(worker.failing) == 2, within_seconds=10, what="both are in progress"
        )
        worker.may_fail.set()
        with pytest.raises(LookupError):
            await run
        worker.may_go_on.set()
    gc.collect()

    assert unretrieved == []


async def test_batches_that_take_too_long_are_cancelled_by_a_stop(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read again by the next owner."""
    monkeypatch.setattr(group, "_DRAIN_SECONDS", 0.0)
    worker = Worker()
    worker.may_go_on.clear()
    async with running(worker):
        consumer.write(ZERO)
        await consumer.assign(ZERO)
        await _given(worker, (0, 0))

    await eventually_async(
        lambda: len(asyncio.all_tasks()) == 1, within_seconds=10, what="all tasks have ended"
    )
    assert consumer.committed == {}


@pytest.fixture
def high_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delay the fetches after all records."""
    monkeypatch.setattr(fetch_sizing, "_MIN_RATE", 0)
    monkeypatch.setattr(fetch_sizing, "_MEASURE_SECONDS", 0.0)


@pytest.mark.usefixtures("high_rate")
async def test_at_high_rates_all_partitions_are_paused_for_a_period(consumer: Consumer) -> None:
    """Also those without records, whose fetch would hold up the others."""
    worker = Worker()
    async with running(worker):
        await consumer.assign(ZERO, ONE)
        await eventually_async(
            lambda: not consumer.paused, within_seconds=10, what="both are fetched"
        )
        consumer.pauses.clear()
        consumer.write(ZERO)
        await eventually_async(
            lambda: {ZERO, ONE} in consumer.pauses, within_seconds=10, what="both are paused"
        )
        consumer.write(ONE)

        await _given(worker, (0, 0), (1, 0))


@pytest.mark.usefixtures("high_rate")
async def test_a_delay_does_not_resume_a_stopped_partition(consumer: Consumer) -> None:
    """The circuit breaker has stopped it until the next assignment."""
    worker = Worker()
    async with running(worker) as (member, _):
        await consumer.assign(ZERO, ONE)
        member.pause(ONE)
        for number in range(2):
            consumer.write(ONE)
            consumer.write(ZERO)
            await _given(worker, *((0, offset) for offset in range(number + 1)))
        assert ONE in consumer.paused

        await consumer.assign(ZERO, ONE)
        await eventually_async(
            lambda: (1, 1) in worker.given, within_seconds=10, what="it is read again"
        )


async def test_a_permanent_error_stops_the_member(consumer: Consumer) -> None:
    """Also before it has joined."""
    consumer.refusal = GroupAuthorizationFailedError("app")
    async with running(Worker()) as (_, run):
        with pytest.raises(GroupAuthorizationFailedError):
            await run


async def test_a_member_waits_for_workers_of_an_earlier_version(consumer: Consumer) -> None:
    """They use another assignor, so Kafka rejects new members."""
    consumer.refusal = InconsistentGroupProtocolError()
    worker = Worker()
    async with running(worker) as (member, run):
        await eventually_async(lambda: member.problem, within_seconds=10, what="it says so")
        assert not run.done()
        consumer.refusal = None
        await consumer.assign(ZERO)
        assert member.problem is None


async def test_a_stop_does_not_wait_for_a_takeover(consumer: Consumer) -> None:
    """A takeover waits while a changelog partition has no leader."""
    worker = _Endless()
    async with running(worker) as (member, _):
        await consumer.assign(ZERO)
        await worker.begun.wait()
        async with asyncio.timeout(10):
            await member.stop()

        assert member.is_rebalancing
