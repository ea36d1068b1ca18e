"""Each record is stored exactly once, whatever happens to the writing processes."""

import asyncio
import signal
import sys
from subprocess import PIPE, Popen

import pytest

from sinks.sql.tables import AlertRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, alert_at, expect_no_rejection
from tests.integration.sinks.ledger import check_exact, start_writing, wait_until_at, write_all

pytestmark = pytest.mark.fault


async def test_a_writer_resumes_exactly_after_kill_9(database_url: str) -> None:
    """Three times; each time SQL holds exactly the records below the stored offset."""
    for seed, offset in ((1, 150), (2, 400), (3, 700)):
        process = start_writing(database_url, 0, 1000, seed)
        await asyncio.to_thread(wait_until_at, process, offset)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

        await check_exact(database_url, [0], await _stored(database_url))

    last = start_writing(database_url, 0, 1000, 4)
    assert await asyncio.to_thread(last.wait, 60) == 0
    await check_exact(database_url, [0], 1000)


async def test_concurrent_writers_of_a_partition_store_it_exactly_once(database_url: str) -> None:
    """As when a zombie worker writes to a partition with a new owner."""
    writers = [start_writing(database_url, 0, 1000, seed) for seed in (1, 2)]
    for writer in writers:
        assert await asyncio.to_thread(writer.wait, 60) == 0

    await check_exact(database_url, [0], 1000)


async def test_partitions_are_written_concurrently(database_url: str) -> None:
    """In one process, as in a worker, and in two."""
    other = start_writing(database_url, 2, 400, 1)
    writer = await samples.open_for_test(database_url)
    await asyncio.gather(write_all(writer, 0, 400, 2), write_all(writer, 1, 400, 3))
    await writer.close()
    assert await asyncio.to_thread(other.wait, 60) == 0

    await check_exact(database_url, [0, 1, 2], 400)


async def test_alerts_become_visible_in_order_of_seq(database_url: str) -> None:
    """So a reader that resumes after the highest `seq` misses none."""
    writers = [await samples.open_for_test(database_url) for _ in range(2)]
    working = [asyncio.create_task(_raise_alerts(writer, n)) for n, writer in enumerate(writers)]
    seen: set[int] = set()
    while not all(task.done() for task in working):
        now = {seq for (seq,) in await samples.query(database_url, "SELECT seq FROM alerts")}
        assert seen <= now
        assert min(now - seen, default=sys.maxsize) > max(seen, default=0)
        seen = now
    await asyncio.gather(*working)
    for writer in writers:
        await writer.close()

    rows = await samples.contents(database_url, AlertRow)
    assert len({row["seq"] for row in rows}) == len(rows) == 120


async def _raise_alerts(writer: Writer, partition: int) -> None:
    await writer.assign("alerts", partition)
    for offset in range(60):
        rows = {AlertRow: [alert_at(offset, (partition, offset))]}
        await writer.write("alerts", partition, offset + 1, rows, expect_no_rejection)


_FREEZE = """
import asyncio, os, signal, sys
from sinks.sql import offsets
from sinks.sql.engine import open_database

def work(connection):
    position = offsets.SourcePartition("test", "cluster", 0, "events-raw", 0)
    offsets.lock(connection, position)
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    offsets.advance(connection, position, 5)

asyncio.run(open_database(sys.argv[1]).run(work))
"""


async def test_a_zombie_writer_is_fenced_by_the_idle_timeout(
    migrated_postgres_url: str,
) -> None:
    """PostgreSQL ends its transaction; the new owner continues, and the zombie's write fails."""
    writer = await samples.open_for_test(migrated_postgres_url)
    await writer.assign(TOPIC, 0)
    frozen = _start_freezing(migrated_postgres_url)
    assert frozen.stdout is not None
    assert await asyncio.to_thread(frozen.stdout.readline) == b"locked\n"

    await writer.write(TOPIC, 0, 7, {}, expect_no_rejection)
    frozen.send_signal(signal.SIGCONT)
    await asyncio.to_thread(frozen.communicate)

    assert frozen.returncode == 1
    assert await writer.assign(TOPIC, 0) == 7
    await writer.close()


def _start_freezing(url: str) -> Popen[bytes]:
    return Popen([sys.executable, "-c", _FREEZE, url], stdout=PIPE, stderr=PIPE)


async def _stored(url: str) -> int:
    ((stored,),) = await samples.query(url, "SELECT next_offset FROM consumer_offsets")
    return int(stored)
