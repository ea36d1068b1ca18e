"""Requests of other systems' clients to the role `api`, relative to native ones."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import repeat

from benchmarks.load import cpu_time
from benchmarks.measure import Candidate, Figures, Workload
from benchmarks.recorded import Sample, batches, single_events

#: Of requests with one event. Turns are this short so that other load of the machine meets both.
_REQUESTS = 1_000
#: Of batches.
_EVENTS = 4_000
_TURNS = 8
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_SUCCESS = (b"200", b"202", b"204")

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def dialect_workloads(pid: int, port: int) -> list[Workload]:
    """Return the workloads of a server."""
    kinds = (
        ("One event of another system's client per request, 64 connections", single_events(), 64),
        ("A batch of another system's client per request, 16 connections", batches(), 16),
    )
    return [
        Workload(
            title,
            [
                Candidate(sample.title, partial(_measure, sample, pid, port, connections))
                for sample in found
            ],
            warms_up=False,
            is_charted=False,
        )
        for title, found, connections in kinds
    ]


async def _measure(sample: Sample, pid: int, port: int, connections: int) -> Figures:
    """Send both kinds of requests in turns, and return the server's CPU time for each."""
    count = _REQUESTS if sample.events == 1 else _EVENTS // sample.events
    sent = (sample.recorded, sample.native)
    seconds = [0.0, 0.0]
    async with AsyncExitStack() as stack:
        opened = [await _open(stack, port) for _ in range(connections)]
        for request in sent:  # warms up
            await _send(opened, repeat(request, count // 4))
        for _ in range(_TURNS):
            for kind, request in enumerate(sent):
                before = cpu_time([pid])
                await _send(opened, repeat(request, count))
                seconds[kind] += cpu_time([pid]) - before
    (recorded_us, native_us) = [spent / (_TURNS * count * sample.events) * 1e6 for spent in seconds]
    return {
        "CPU relative to a native event": recorded_us / native_us,
        "CPU µs per event": recorded_us,
        "CPU µs per native event": native_us,
        "events per request": sample.events,
    }


async def _open(stack: AsyncExitStack, port: int) -> Connection:
    (reader, writer) = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    return reader, writer


async def _send(connections: Sequence[Connection], requests: Iterator[bytes]) -> None:
    """Send requests, on each connection the next one after the previous response."""
    await asyncio.gather(*(_converse(*connection, requests) for connection in connections))


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: Iterator[bytes]
) -> None:
    for request in requests:
        writer.write(request)
        head = (await reader.readuntil(_END)).lower()
        (_, _, rest) = head.partition(_LENGTH)
        body = await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))
        if head.split()[1] not in _SUCCESS:
            raise RuntimeError(f"{request[:100]!r} was not accepted: {body!r}")
