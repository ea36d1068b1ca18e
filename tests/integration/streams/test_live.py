"""The role `live` on a real broker: kills under load do not change its numbers."""

import asyncio
from pathlib import Path

import pytest

from headrace.admin.topics import create_topics
from schemas.kafka_settings import KafkaSettings
from tests.integration.streams.live_load import PARTITIONS, Load, live_role

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

_MINUTE_MS = 60_000


@pytest.fixture
async def load(kafka: str, topic_prefix: str) -> Load:
    """Create the topics, and return their load."""
    await create_topics(KafkaSettings(bootstrap_servers=kafka, partitions=PARTITIONS))
    return Load(kafka, topic_prefix)


@pytest.mark.slow
async def test_kills_and_stops_under_load_do_not_change_the_counters(
    load: Load, tmp_path: Path
) -> None:
    """Events of the last half hour count, older ones do not; repeats of the router count once."""
    await load.send(400, age_ms=40 * _MINUTE_MS)
    await load.send(400, age_ms=20 * _MINUTE_MS)
    with live_role(load, tmp_path) as role:
        await asyncio.to_thread(role.start)
        await load.send(1_000, repeats=50)
        await load.settle()
        sending = asyncio.ensure_future(load.send(1_000, repeats=200))
        role.kill()
        await asyncio.to_thread(role.start)
        await sending
        await load.settle()
        assert await asyncio.to_thread(role.terminate) == 0
        await load.send(1_000, repeats=30)
        await asyncio.to_thread(role.start)
        await load.settle()


async def test_the_first_counters_after_a_crash_are_right(load: Load, tmp_path: Path) -> None:
    """Nothing is published while it reads the last half hour again."""
    with live_role(load, tmp_path) as role:
        await load.send(3_000)
        await asyncio.to_thread(role.start)
        await load.settle()
        role.kill()
        before = await load.ends()
        await asyncio.to_thread(role.start)
        await load.settle()

        again = await load.published(before)
        assert again
        assert [one for one in again if not load.is_right(one)] == []
