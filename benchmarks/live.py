"""From the HTTP 202 to the message on the live stream: `python -m benchmarks.live`.

Events are sent batch after batch to a whole headrace while people watch; each batch is timed
from its 202 to the first message of a watcher whose 30 minutes hold it.
"""

import argparse
import asyncio
import tempfile
import uuid
from bisect import bisect_left
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.stack import Stack
from tests.e2e.watchers import Watcher, watching

SITES = ("shop", "blog", "docs", "news")
BATCH = 100


class TimedWatcher(Watcher):
    """Notes when it was told of how many events."""

    def __init__(self, url: str, token: str, site_id: str) -> None:
        super().__init__(url, token, site_id)
        self.told: list[tuple[int, float]] = []

    def told_of(self, message: dict[str, Any]) -> None:
        """Take a message."""
        super().told_of(message)
        now = asyncio.get_running_loop().time()
        self.told.append((sum(message["per_minute"]), now))


def main() -> None:
    """Measure with the rate, the time and the number of watchers that were asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=int, default=2_000, help="events a second")
    options.add_argument("--seconds", type=int, default=30)
    options.add_argument("--watchers", type=int, default=200)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data")
        try:
            stack.start()
            asyncio.run(_measure(stack, asked.rate, asked.seconds, asked.watchers))
        finally:
            stack.end()


async def _measure(stack: Stack, rate: int, seconds: int, watchers: int) -> None:
    token = (stack.data_dir / "owner.token").read_text().strip()
    people = [TimedWatcher(stack.url, token, SITES[n % len(SITES)]) for n in range(watchers)]
    async with watching(people):
        acknowledged = await _send(stack, rate, seconds)
        await asyncio.sleep(3)
        late = sorted(_latencies(people, acknowledged))
    count = seconds * rate // BATCH
    print(f"{rate} events/s for {seconds} s, {watchers} watchers, {count} batches")
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
        print(f"202 to SSE, {name}: {late[int(share * (len(late) - 1))]:.2f} s")


async def _send(stack: Stack, rate: int, seconds: int) -> list[float]:
    """Send batch after batch; return when each was acknowledged."""
    clock = asyncio.get_running_loop().time
    started, times = clock(), list[float]()
    async with aiohttp.ClientSession() as http:
        for batch in range(seconds * rate // BATCH):
            events = [_event(batch * BATCH + number) for number in range(BATCH)]
            async with http.post(f"{stack.url}/api/events", json=events) as answer:
                assert answer.status == 202
            times.append(clock())
            await asyncio.sleep(started + (batch + 1) * BATCH / rate - clock())
    return times


def _latencies(people: list[TimedWatcher], acknowledged: list[float]) -> list[float]:
    found = []
    for watcher in people:
        counts = [count for count, _ in watcher.told]
        for batch, at in enumerate(acknowledged, 1):
            first = bisect_left(counts, batch * BATCH // len(SITES))
            assert first < len(counts), "not all was told"
            found.append(max(0.0, watcher.told[first][1] - at))
    return found


def _event(number: int) -> dict[str, Any]:
    session = number * 7_919 % 9_000
    return {
        "type": ("pageview", "pageleave", "button_click", "web_vitals")[number // 4 % 4],
        "site_id": SITES[number % len(SITES)],
        "session_id": f"s{session}",
        "visitor_id": f"v{session % 6_000}",
        "event_id": str(uuid.UUID(int=number, version=4)),
        "path": f"/{session % 80}",
    }


if __name__ == "__main__":
    main()
