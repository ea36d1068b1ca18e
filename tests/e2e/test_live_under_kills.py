"""Live counters while processes die: in the end they are those of a run without a kill."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode
from schemas.records import LiveCounters
from schemas.topics import LIVE_COUNTERS
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually
from tests.unit.streams.live_recount import visitors_of

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

_BATCH = 30
_PAUSE_SECONDS = 0.05
_PLACES = [TopicPartition(LIVE_COUNTERS.name, partition) for partition in range(4)]


def test_live_counters_are_exact_though_live_and_streams_are_killed(make_stack: MakeStack) -> None:
    """Kill -9 in mid-load: nothing is missing, nothing that the router sent twice counts twice."""
    stack = make_stack({})
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send, stack, over)
        try:
            stack.kill("live")
            stack.kill("streams")
        finally:
            over.set()
        sent = sending.result()

    def numbers() -> tuple[int, int, int]:
        newest = asyncio.run(_newest((stack.data_dir / "run" / "kafka.address").read_text()))
        return (
            sum(minute.events for one in newest for minute in one.minutes),
            sum(one.sessions for one in newest),
            round(visitors_of(newest)),
        )

    expected = (sent, 400, 300)
    eventually(lambda: numbers() == expected, within_seconds=90, what=f"live says {expected}")


def _event(number: int) -> dict[str, object]:
    return {
        "type": ("pageview", "pageleave", "custom_event")[number % 3],
        "site_id": "busy",
        "session_id": f"s{number % 400}",
        "visitor_id": f"v{number % 400 % 300}",
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "path": f"/{number % 7}",
    }


def _send(stack: Stack, over: threading.Event) -> int:
    """Send events until it is over, and all sessions had one; return how many."""
    number = 0
    while number < 3_000 or not over.wait(_PAUSE_SECONDS):
        batch = [_event(number + more) for more in range(_BATCH)]
        assert stack.post(batch, "/api/events")[0] == 202
        number += _BATCH
    return number


async def _newest(address: str) -> list[LiveCounters]:
    """Return the newest counters of each partition."""
    newest: dict[int, LiveCounters] = {}
    async with AIOKafkaConsumer(bootstrap_servers=address.strip()) as consumer:
        consumer.assign(_PLACES)
        ends: dict[Any, int] = await consumer.end_offsets(_PLACES)
        for place in _PLACES:
            consumer.seek(place, 0)
        while any([await consumer.position(place) < ends[place] for place in _PLACES]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                newest[place.partition] = decode(records[-1].value, LiveCounters)
    return list(newest.values())
