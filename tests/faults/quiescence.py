"""Waits until all events are processed, from the first topic to SQL."""

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import TopicPartition

from schemas import topics
from schemas.topics import Topic
from tests.e2e.stack import PARTITIONS, Stack
from tests.faults.kafka_log import query_kafka
from tests.fixtures.waiting import eventually

_ROUTED = (topics.EVENTS_SESSION, topics.EVENTS_PAGELEAVE, topics.EVENTS_ALERT)
_RESULTS = (topics.SESSIONS, topics.PAGE_DURATIONS, topics.ALERTS)

Ends = Mapping[tuple[str, int], int]


def quiesce(stack: Stack, within_seconds: float = 180) -> None:
    """Wait until every stage has processed the current records of `events-raw`.

    Punctuation records are written continuously, so each stage is compared with the end offsets at
    the time when the previous stage was done.
    """
    raw = _ends(stack, topics.EVENTS_RAW)
    _wait(stack, raw, lambda: _committed(stack), within_seconds)
    _wait(stack, _ends(stack, *_ROUTED), lambda: _committed(stack), within_seconds)
    stored = {**raw, **_ends(stack, *_RESULTS)}
    _wait(stack, stored, lambda: _stored(stack), within_seconds)


def close_all_visits(stack: Stack, within_seconds: float = 120) -> None:
    """Wait until stream time has closed every visit; the stack's gap must be short."""
    eventually(
        lambda: not stack.rows("SELECT 1 FROM sessions WHERE state = 'open' LIMIT 1"),
        within_seconds=within_seconds,
        what="every visit is closed",
    )
    quiesce(stack)


def _wait(stack: Stack, ends: Ends, done: Callable[[], Ends], within_seconds: float) -> None:
    behind: dict[tuple[str, int], str] = {}

    def is_done() -> bool:
        behind.clear()
        reached = done()
        for tp, end in ends.items():
            if reached.get(tp, 0) < end:
                behind[tp] = f"{reached.get(tp, 0)} of {end}"
        return not behind

    try:
        eventually(is_done, within_seconds=within_seconds, what="lag 0")
    except AssertionError as error:
        raise AssertionError(f"{error}; behind: {behind}; the screen:\n{stack.screen}") from None


def _ends(stack: Stack, *topics_: Topic) -> Ends:
    partitions = [TopicPartition(one.name, part) for one in topics_ for part in range(PARTITIONS)]

    async def ends(_: Any, consumer: Any) -> Ends:
        offsets = await consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): end for tp, end in offsets.items()}

    result: Ends = query_kafka(stack.kafka, ends)
    return result


def _committed(stack: Stack) -> Ends:
    async def committed(admin: Any, _: Any) -> Ends:
        offsets = await admin.list_consumer_group_offsets("headrace-streams")
        return {(tp.topic, tp.partition): meta.offset for tp, meta in offsets.items()}

    result: Ends = query_kafka(stack.kafka, committed)
    return result


def _stored(stack: Stack) -> Ends:
    rows = stack.rows("SELECT topic, partition, next_offset FROM consumer_offsets")
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
