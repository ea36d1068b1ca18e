"""A partition with deterministic records, and the expected contents of SQL.

Also a program that writes it and can be killed: `python -m tests.integration.sinks.ledger URL
PARTITION END SEED` continues at the stored offset in batches of random size, and prints each
committed offset.
"""

import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from sqlmodel import SQLModel

from sinks.sql.batch import SourcedRow
from sinks.sql.tables import AlertRow, EventRow, SessionRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, alert_at, event_at, uuid_of, visit_at

_ROOT = Path(__file__).parents[3]


def rows_of(partition: int, start: int, stop: int) -> dict[type[SQLModel], list[SourcedRow]]:
    """Return the rows of the records from `start` to `stop` (exclusive).

    Every tenth event repeats an id, visits have many revisions, some alerts are repeated.
    """
    events, visits, alerts = [], [], []
    for offset in range(start, stop):
        name = offset - 5 if offset % 10 == 9 else offset
        events.append(event_at(offset, (partition, name), session_id=f"s-{partition}"))
        visits.append(visit_at(offset, (partition, offset % 7), revision=offset))
        if offset % 20 == 0:
            alerts.append(alert_at(offset, (partition, offset // 40)))
    return {EventRow: events, SessionRow: visits, AlertRow: alerts}


async def check_exact(url: str, partitions: Sequence[int], end: int) -> None:
    """Assert that SQL holds each record below `end` of each partition exactly once."""
    events: dict[str, int] = {}
    visits: dict[str, int] = {}
    alerts: set[str] = set()
    for partition in partitions:
        for offset in range(end):
            name = offset - 5 if offset % 10 == 9 else offset
            events.setdefault(uuid_of((partition, name)), offset)
            visits[uuid_of((partition, offset % 7))] = offset
            if offset % 20 == 0:
                alerts.add(uuid_of((partition, offset // 40)))

    assert await _pairs(url, EventRow, "event_id", "kafka_offset") == events
    assert await _pairs(url, SessionRow, "visit_id", "revision") == visits
    assert set(await _pairs(url, AlertRow, "alert_id", "seq")) == alerts


async def _pairs(url: str, model: type[SQLModel], key: str, value: str) -> dict[str, Any]:
    found = [(row[key], row[value]) for row in await samples.contents(url, model)]
    assert len(found) == len(dict(found))
    return dict(found)


async def write_all(writer: Writer, partition: int, end: int, seed: int) -> None:
    """Write the partition from the stored offset up to `end`, in batches of random size.

    Some batches start below the stored offset, as after a lost Kafka commit.
    """
    cuts = random.Random(seed)  # noqa: S311 - no secret
    position = await writer.assign(TOPIC, partition)
    while position < end:
        start = max(0, position - cuts.choice([0, 0, 0, 25]))
        stop = min(end, position + cuts.randint(1, 60))
        rows = rows_of(partition, start, stop)
        await writer.write(TOPIC, partition, stop, rows, samples.expect_no_rejection)
        position = await writer.assign(TOPIC, partition)
        print(position, flush=True)  # noqa: T201 - the test that started us waits for it


def start_writing(url: str, partition: int, end: int, seed: int) -> Popen[str]:
    """Start the program; it prints each committed offset."""
    argv = [sys.executable, "-m", "tests.integration.sinks.ledger", url]
    argv += [str(number) for number in (partition, end, seed)]
    return Popen(argv, cwd=_ROOT, stdout=PIPE, text=True)


def wait_until_at(process: Popen[str], offset: int) -> None:
    """Wait until the program has committed `offset` or more."""
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= offset:
            return
    raise AssertionError(f"the writer ended before offset {offset}: {process.wait()}")


async def _main(url: str, partition: str, end: str, seed: str) -> None:
    writer = await samples.open_for_test(url)
    await write_all(writer, int(partition), int(end), int(seed))
    await writer.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
