"""A load: connections that each send a request as soon as the last one is answered.

`python -m benchmarks.load PID PORT PATH CONNECTIONS SECONDS EVENTS_A_REQUEST` prints what came of
it as JSON, with the CPU time that the server, PID, took. It is a process of its own, so that its
own CPU time does not count. What counts begins when all connections are there and have sent for
a while: until a thousand that come at once are accepted, requests wait for seconds, whoever
serves, and that was all that the slowest of a hundred told.
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

_DIFFERENT = 2_000
_WARM_UP_SECONDS = 1.0


def requests(path: str, events_a_request: int) -> list[bytes]:
    """Return requests as they go over the wire."""
    some = bodies(_DIFFERENT)
    made = []
    for begin in range(0, len(some), events_a_request):
        part = some[begin : begin + events_a_request]
        body = part[0] if events_a_request == 1 else b"[" + b",".join(part) + b"]"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        made.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


class Connection(asyncio.Protocol):
    """One of many; knows of an answer just its status and its length."""

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
        self._load.answered(b" 202 " in head.split(b"\r\n")[0] + b" ", self._began)
        if self._load.goes_on:
            self.send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._load.closed()

    def send(self) -> None:
        """Send the next request."""
        self._began = time.perf_counter()
        self._transport.write(next(self._load.requests))


class Load:
    """All connections together."""

    def __init__(self, path: str, events_a_request: int) -> None:
        self.requests = cycle(requests(path, events_a_request))
        self.goes_on = True
        self._others = self._open = 0
        #: Of those that were accepted since it counts.
        self._latencies: list[float] = []
        self._all_closed = asyncio.Event()

    def answered(self, accepted: bool, began: float) -> None:
        """Note an answer."""
        if accepted:
            self._latencies.append(time.perf_counter() - began)
        else:
            self._others += 1

    def closed(self) -> None:
        """Note that a connection has ended."""
        self._open -= 1
        if not self._open:
            self._all_closed.set()

    async def run(self, pid: int, port: int, connections: int, seconds: float) -> dict[str, float]:
        """Send for so long, then wait for the last answers."""
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
        began, cpu = time.perf_counter(), _cpu_seconds(pid)
        await asyncio.sleep(seconds)
        spent = {"seconds": time.perf_counter() - began, "cpu_seconds": _cpu_seconds(pid) - cpu}
        latencies = sorted(self._latencies)
        self.goes_on = False
        await self._all_closed.wait()
        return {
            **spent,
            "accepted": len(latencies),
            "others": self._others,
            "p50_ms": latencies[len(latencies) // 2] * 1e3,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
        }


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Run a load and print what came of it."""
    pid, port, path, connections, seconds, events = sys.argv[1:]

    async def run() -> None:
        load = Load(path, int(events))
        print(json.dumps(await load.run(int(pid), int(port), int(connections), float(seconds))))

    uvloop.run(run())


if __name__ == "__main__":
    main()
