"""Each record lands once, whatever happens to the processes that write it."""

import asyncio
import signal
import sys
from subprocess import PIPE, Popen

import pytest

from sinks.sql.migrate import upgrade
from sinks.sql.tables import AlertRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, alert_at, refuse_nothing
from tests.integration.sinks.ledger import check_exact, start_writing, wait_until_at, write_all

pytestmark = pytest.mark.fault


async def test_a_writer_killed_in_mid_work_is_continued_exactly(database_url: str) -> None:
    """Three times kill -9; each time SQL holds what the offset row says, to the record."""
    for seed, offset in ((1, 150), (2, 400), (3, 700)):
        process = start_writing(database_url, 0, 1000, seed)
        await asyncio.to_thread(wait_until_at, process, offset)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

        await check_exact(database_url, [0], await _stored(database_url))

    last = start_writing(database_url, 0, 1000, 4)
    assert await asyncio.to_thread(last.wait, 60) == 0
    await check_exact(database_url, [0], 1000)


async def test_two_writers_of_one_partition_do_no_harm_to_each_other(database_url: str) -> None:
    """As when a frozen worker comes back while its partition has a new owner."""
    writers = [start_writing(database_url, 0, 1000, seed) for seed in (1, 2)]
    for writer in writers:
        assert await asyncio.to_thread(writer.wait, 60) == 0

    await check_exact(database_url, [0], 1000)


async def test_writers_of_two_partitions_work_side_by_side(database_url: str) -> None:
    """In one process, as a worker does, and in two."""
    other = start_writing(database_url, 2, 400, 1)
    writer = await samples.open_for_test(database_url)
    await asyncio.gather(write_all(writer, 0, 400, 2), write_all(writer, 1, 400, 3))
    await writer.close()
    assert await asyncio.to_thread(other.wait, 60) == 0

    await check_exact(database_url, [0, 1, 2], 400)


async def test_no_alert_appears_below_one_that_a_reader_has_seen(database_url: str) -> None:
    """So a reader that resumes behind the highest `seq` that it saw misses none."""
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
        await writer.write("alerts", partition, offset + 1, rows, refuse_nothing)


_FREEZE = """
import asyncio, os, signal, sys
from sinks.sql import offsets
from sinks.sql.engine import open_database

def work(connection):
    place = offsets.Place("test", "cluster", 0, "events-raw", 0)
    offsets.lock(connection, place)
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    offsets.advance(connection, place, 5)

asyncio.run(open_database(sys.argv[1]).run(work))
"""


async def test_a_worker_frozen_in_mid_transaction_loses_its_partition(postgres_url: str) -> None:
    """PostgreSQL ends its transaction; the new owner goes on, and the frozen one fails."""
    await asyncio.to_thread(upgrade, postgres_url)
    writer = await samples.open_for_test(postgres_url)
    await writer.assign(TOPIC, 0)
    frozen = _start_freezing(postgres_url)
    assert frozen.stdout is not None
    assert await asyncio.to_thread(frozen.stdout.readline) == b"locked\n"

    await writer.write(TOPIC, 0, 7, {}, refuse_nothing)
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
