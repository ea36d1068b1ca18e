"""An HTTP load generator: each connection sends its next request after the previous response.

`python -m benchmarks.load PIDS PORT CONNECTIONS SECONDS EVENTS_PER_REQUEST` prints the
results as JSON, with the CPU time of the server's processes, PIDS, separated by commas. It is a
separate process, so that its own CPU time does not count. The measurement starts after a warm-up:
while 1,000 connections are accepted, requests to any server wait for seconds, which would dominate
p99.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from typing import Any

import psutil
import uvloop

from benchmarks.events import bodies
from producer_api.http.paths import BATCH_PATH, EVENT_PATH

_DISTINCT = 2_000
_WARM_UP_SECONDS = 1.0
_SUCCESS = (b"200", b"202")


def requests(events_per_request: int) -> list[bytes]:
    """Return requests as bytes."""
    sample = bodies(_DISTINCT)
    encoded = []
    for start in range(0, len(sample), events_per_request):
        (path, body) = (EVENT_PATH, sample[start])
        if events_per_request > 1:
            part = sample[start : start + events_per_request]
            (path, body) = (BATCH_PATH, b"[%b]" % b",".join(part))
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        encoded.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return encoded


class Connection(asyncio.Protocol):
    """One connection; it parses only the status and the length of responses."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._read = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(rest) < length:
            return
        self._read = b""
        self._load.record(lines[0].split()[1] in _SUCCESS, self._sent_at)
        if self._load.is_running:
            self.send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._load.closed()

    def send(self) -> None:
        """Send the next request."""
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._load.requests))


class Load:
    """All connections."""

    def __init__(self, events_per_request: int) -> None:
        self.requests = cycle(requests(events_per_request))
        self.is_running = True
        self._others = self._open = 0
        #: Of accepted requests since the warm-up.
        self._latencies: list[float] = []
        self._all_closed = asyncio.Event()

    def record(self, accepted: bool, sent_at: float) -> None:
        """Record a response."""
        if accepted:
            self._latencies.append(time.perf_counter() - sent_at)
        else:
            self._others += 1

    def closed(self) -> None:
        """Record the end of a connection."""
        self._open -= 1
        if not self._open:
            self._all_closed.set()

    async def run(
        self, pids: list[int], port: int, connections: int, seconds: float
    ) -> dict[str, float]:
        """Send for `seconds`, wait for the last responses and return the results."""
        loop = asyncio.get_running_loop()
        self._open = connections
        opened = [
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            for _ in range(connections)
        ]
        for _, connection in opened:
            connection.send()
        await asyncio.sleep(_WARM_UP_SECONDS)
        self._latencies.clear()
        started_at, cpu = time.perf_counter(), cpu_time(pids)
        await asyncio.sleep(seconds)
        seconds, cpu_seconds = time.perf_counter() - started_at, cpu_time(pids) - cpu
        latencies = sorted(self._latencies)
        self.is_running = False
        await self._all_closed.wait()
        return {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "accepted": len(latencies),
            "others": self._others,
            "p50_ms": latencies[len(latencies) // 2] * 1e3,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
        }


def cpu_time(pids: list[int]) -> float:
    """Return the CPU time of processes, in seconds."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(cpu.user + cpu.system for cpu in times))


def main() -> None:
    """Run a load and print its results."""
    pids, port, connections, seconds, events = sys.argv[1:]

    async def run() -> None:
        load = Load(int(events))
        each = [int(pid) for pid in pids.split(",")]
        print(json.dumps(await load.run(each, int(port), int(connections), float(seconds))))

    uvloop.run(run())


if __name__ == "__main__":
    main()
