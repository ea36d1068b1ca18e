"""A running stack with an HTTP load."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import psutil

from tests.e2e.stack import Stack

_ROLES = ("web", "streams", "live", "sinks")
_JSON = {"Content-Type": "application/json"}


class LoadedStack:
    """A stack, with the number of events that it has accepted."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.sent = 0

    async def send(
        self, bodies: Sequence[bytes], batch: int, rate: int, connections: int = 1
    ) -> tuple[float, list[float]]:
        """Send bodies of `batch` events each, at `rate` events per second; 1: single events.

        Return the start time, and when each body got its response.
        """
        clock = asyncio.get_running_loop().time
        url = f"{self.stack.url}/api/{'event' if batch == 1 else 'events'}"
        started_at, times, due = clock(), [0.0] * len(bodies), iter(enumerate(bodies))

        async def send_due(http: aiohttp.ClientSession) -> None:
            for number, body in due:
                await asyncio.sleep(started_at + number * batch / rate - clock())
                async with http.post(url, data=body, headers=_JSON) as response:
                    if response.status != 202:
                        raise RuntimeError(f"a batch got status {response.status}")
                times[number] = clock()
                self.sent += batch

        async with aiohttp.ClientSession() as http:
            await asyncio.gather(*(send_due(http) for _ in range(connections)))
        return started_at, times

    def cpu_seconds(self, *more: str) -> dict[str, float]:
        """Return the CPU time of each role, and of `more` processes of the stack, so far."""
        pids = {role: self.stack.pid(role) for role in (*_ROLES, *more)}
        times = {role: psutil.Process(pid).cpu_times() for role, pid in pids.items() if pid}
        return {role: float(cpu.user + cpu.system) for role, cpu in times.items()}


@asynccontextmanager
async def loaded_stack() -> AsyncIterator[LoadedStack]:
    """Start a stack in a new folder."""
    with TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data")
        try:
            await asyncio.to_thread(stack.start)
            yield LoadedStack(stack)
        finally:
            await asyncio.to_thread(stack.end)
