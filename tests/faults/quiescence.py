"""Waiting until all that was sent has come to its end: lag 0, from the first topic to SQL."""

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import TopicPartition

from schemas import topics
from schemas.topics import Topic
from tests.e2e.stack import PARTITIONS, Stack
from tests.faults.kafka_log import ask
from tests.fixtures.waiting import eventually

_ROUTED = (topics.EVENTS_SESSION, topics.EVENTS_PAGELEAVE, topics.EVENTS_ALERT)
_RESULTS = (topics.SESSIONS, topics.PAGE_DURATIONS, topics.ALERTS)

Ends = Mapping[tuple[str, int], int]


def quiesce(stack: Stack, within_seconds: float = 180) -> None:
    """Wait until what stands in `events-raw` now is done by every stage behind it.

    Ticks flow for ever, so each stage is held against the end that its topic had when the
    stage before was done.
    """
    raw = _ends(stack, topics.EVENTS_RAW)
    _wait(stack, raw, lambda: _committed(stack), within_seconds)
    _wait(stack, _ends(stack, *_ROUTED), lambda: _committed(stack), within_seconds)
    stored = {**raw, **_ends(stack, *_RESULTS)}
    _wait(stack, stored, lambda: _stored(stack), within_seconds)


def close_all_visits(stack: Stack, within_seconds: float = 120) -> None:
    """Wait until stream time has closed every visit; the stack's gap must be seconds."""
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
        for place, end in ends.items():
            if reached.get(place, 0) < end:
                behind[place] = f"{reached.get(place, 0)} of {end}"
        return not behind

    try:
        eventually(is_done, within_seconds=within_seconds, what="lag 0")
    except AssertionError as error:
        raise AssertionError(f"{error}; behind: {behind}; the screen:\n{stack.screen}") from None


def _ends(stack: Stack, *of: Topic) -> Ends:
    places = [TopicPartition(topic.name, part) for topic in of for part in range(PARTITIONS)]

    async def ends(_: Any, consumer: Any) -> Ends:
        found = await consumer.end_offsets(places)
        return {(place.topic, place.partition): end for place, end in found.items()}

    answer: Ends = ask(stack.kafka, ends)
    return answer


def _committed(stack: Stack) -> Ends:
    async def committed(admin: Any, _: Any) -> Ends:
        found = await admin.list_consumer_group_offsets("headrace-streams")
        return {(place.topic, place.partition): at.offset for place, at in found.items()}

    answer: Ends = ask(stack.kafka, committed)
    return answer


def _stored(stack: Stack) -> Ends:
    rows = stack.rows("SELECT topic, partition, next_offset FROM consumer_offsets")
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
