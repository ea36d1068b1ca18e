"""Workers crash, join, leave and freeze under load; all keys are compared with a ledger."""

import asyncio
import signal
from pathlib import Path

import pytest

from streams.engine.circuit_breaker import MAX_CONSECUTIVE_DEAD_LETTERS
from streams.engine.fencing import EXIT_FENCED
from tests.fixtures.waiting import eventually_async
from tests.integration.streams.conftest import OwnBroker
from tests.integration.streams.counting_worker import POISON
from tests.integration.streams.harness import bench, partition_of

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]


@pytest.mark.slow
async def test_every_key_is_exact_after_kills_stops_and_joins(kafka: str, tmp_path: Path) -> None:
    """SIGKILL, SIGTERM and joins in turn under load: each record is counted once."""
    with bench(kafka, tmp_path) as b:
        await b.create_topics()
        first, second = b.start_worker(), b.start_worker()
        await b.send(8_000, keys=1_500)
        first.kill()
        third, _ = await asyncio.gather(
            asyncio.to_thread(b.start_worker), b.send(8_000, keys=1_500, seed=1)
        )
        assert await asyncio.to_thread(second.terminate) == 0
        last, _ = await asyncio.gather(
            asyncio.to_thread(b.start_worker), b.send(8_000, keys=1_500, seed=2)
        )
        third.kill()
        await b.send(8_000, keys=1_500, seed=3)
        await b.quiet()

        assert await b.counts() == b.ledger
        assert last.process.poll() is None


async def test_a_restarted_worker_restores_its_table(kafka: str, tmp_path: Path) -> None:
    """Killed after all writes and restarted: the counts continue."""
    with bench(kafka, tmp_path) as b:
        await b.create_topics()
        worker = b.start_worker()
        await b.send(5_000, keys=300)
        await b.quiet()
        worker.kill()
        b.start_worker()
        await b.send(5_000, keys=300, seed=1)
        await b.quiet()

        assert await b.counts() == b.ledger


@pytest.mark.slow
async def test_idle_workers_rebalance_and_process_immediately(kafka: str, tmp_path: Path) -> None:
    """Idle fetches wait for half a minute; a rebalance or a record ends the wait."""
    with bench(kafka, tmp_path) as b:
        await b.create_topics()
        first, second = b.start_worker(), b.start_worker()
        await b.send(200, keys=50)
        await b.quiet(within_seconds=20)
        assert await asyncio.to_thread(second.terminate) == 0
        await b.send(200, keys=50, seed=1)
        await b.quiet(within_seconds=20)
        b.start_worker()
        await b.send(200, keys=50, seed=2)
        await b.quiet(within_seconds=20)

        assert await b.counts() == b.ledger
        assert first.process.poll() is None


async def test_a_zombie_worker_exits_before_it_writes(kafka: str, tmp_path: Path) -> None:
    """Frozen until another worker has its partitions, then resumed: nothing counts twice."""
    with bench(kafka, tmp_path) as b:
        await b.create_topics()
        frozen = b.start_worker()
        await b.send(2_000, keys=100)
        await b.quiet()
        await b.send(10_000, keys=100, seed=2)
        frozen.send(signal.SIGSTOP)
        await asyncio.to_thread(b.start_worker)
        await b.quiet()
        frozen.send(signal.SIGCONT)

        assert await asyncio.to_thread(frozen.process.wait, 20) == EXIT_FENCED
        await b.quiet()
        assert await b.counts() == b.ledger


async def test_poison_is_dead_lettered_and_its_neighbours_are_counted(
    kafka: str, tmp_path: Path
) -> None:
    """Single invalid records are sent to the dead letter topic."""
    with bench(kafka, tmp_path) as b:
        await b.create_topics()
        await b.send(500, keys=20)
        await b.send_records([(f"key-{n}".encode(), POISON) for n in range(20)])
        await b.send(500, keys=20, seed=1)
        b.start_worker()
        await b.quiet()

        assert len(await b.read(b.names.dead_letters.name)) == 20
        assert await b.counts() == b.ledger


async def test_a_partition_with_poison_only_stops_and_the_others_continue(
    kafka: str, tmp_path: Path
) -> None:
    """The circuit breaker: few dead letters, no crash loop, and the worker reports it."""
    with bench(kafka, tmp_path) as b:
        await b.create_topics()
        worker = b.start_worker()
        await b.send_records([(b"key-0", POISON)] * (MAX_CONSECUTIVE_DEAD_LETTERS + 10))
        worker.wait_for("the partition is stopped")
        await b.send_records([(f"key-{n}".encode(), b"x") for n in range(200)])
        stopped = partition_of(b"key-0")
        keys = {f"key-{n}".encode() for n in range(200)}
        expected = {key for key in keys if partition_of(key) != stopped}

        async def others_are_counted() -> bool:
            return set(await b.counts()) == expected

        await eventually_async(others_are_counted, within_seconds=30, what="the others go on")
        assert await b.read(b.names.dead_letters.name) == []
        assert await asyncio.to_thread(worker.terminate) == 0


@pytest.mark.slow
async def test_a_worker_continues_after_a_broker_outage(
    tmp_path: Path, own_broker: OwnBroker
) -> None:
    """The broker is killed under load and restarted: the same worker counts each record once."""
    with bench(own_broker.bootstrap, tmp_path) as b:
        await b.create_topics()
        worker = b.start_worker()
        await b.send(8_000, keys=500)
        own_broker.kill_and_restart()
        await b.send(4_000, keys=500, seed=1)
        await b.quiet()

        assert await b.counts() == b.ledger
        assert worker.process.poll() is None
