"""The whole system: the time from the 202 of a batch to the live streams and to SQL."""

import asyncio
import json
import uuid
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.loaded import LoadedStack, loaded_stack
from benchmarks.measure import Candidate, Measurement, Workload
from tests.e2e.watchers import Watcher, watching
from tests.fixtures.waiting import eventually_async

TITLE = "The whole system on one machine, including the broker"
SITES = ("shop", "blog", "docs", "news")
_SECONDS = 8
#: At every rate; with 400 batches a round, p99 is meaningful.
_BATCHES_PER_SECOND = 50

#: The number of events seen, and when.
Seen = list[tuple[int, float]]


class _TimedWatcher(Watcher):
    """Records the total of events and the time of each message."""

    def __init__(self, url: str, token: str, site_id: str) -> None:
        super().__init__(url, token, site_id)
        self.seen: Seen = []

    def on_message(self, message: dict[str, Any]) -> None:
        """Record a message."""
        super().on_message(message)
        self.seen.append((sum(message["per_minute"]), asyncio.get_running_loop().time()))


class _Bench:
    """One stack that is shared by all runs."""

    def __init__(self, loaded: LoadedStack) -> None:
        self._stack = loaded.stack
        self._loaded = loaded

    async def until_seen(self, rate: int, viewers: int) -> Measurement:
        """Send at a rate; measure the time of each batch until each viewer has received it."""
        token = (self._stack.data_dir / "owner.token").read_text().strip()
        watchers = [
            _TimedWatcher(self._stack.url, token, SITES[n % len(SITES)]) for n in range(viewers)
        ]
        before = self._loaded.sent // len(SITES)
        async with watching(watchers):
            measurement, times = await self._send(rate)
            after = self._loaded.sent // len(SITES)
            await eventually_async(
                lambda: all(watcher.seen and watcher.seen[-1][0] >= after for watcher in watchers),
                within_seconds=60,
                what="all events are received",
            )
        share = rate // _BATCHES_PER_SECOND // len(SITES)
        latencies = [
            latency
            for watcher in watchers
            for latency in _latencies(watcher.seen, times, before, share)
        ]
        return measurement._replace(latencies_ms=_percentiles_ms(latencies))

    async def until_stored(self, rate: int) -> Measurement:
        """Send at a rate; measure the time of each batch until its events are in SQL."""
        before, seen, sent_all = self._loaded.sent, list[tuple[int, float]](), asyncio.Event()

        async def poll() -> None:
            while not (sent_all.is_set() and seen and seen[-1][0] >= self._loaded.sent):
                query = "SELECT count(*) AS n FROM events"
                rows = await asyncio.to_thread(self._stack.rows, query)
                seen.append((rows[0]["n"], asyncio.get_running_loop().time()))
                await asyncio.sleep(0.02)

        polling = asyncio.ensure_future(poll())
        measurement, times = await self._send(rate)
        sent_all.set()
        await asyncio.wait_for(polling, 60)
        latencies = _latencies(seen, times, before, rate // _BATCHES_PER_SECOND)
        return measurement._replace(latencies_ms=_percentiles_ms(latencies))

    async def _send(self, rate: int) -> tuple[Measurement, list[float]]:
        """Send batches at a rate; return the measurement, and when each batch got its 202."""
        count, batch = _SECONDS * rate, rate // _BATCHES_PER_SECOND
        events = [_event(self._loaded.sent + number) for number in range(count)]
        bodies = [
            json.dumps(events[start : start + batch]).encode() for start in range(0, count, batch)
        ]
        cpu = self._cpu_seconds()
        started_at, times = await self._loaded.send(bodies, batch, rate)
        seconds = asyncio.get_running_loop().time() - started_at
        return Measurement(count, seconds, self._cpu_seconds() - cpu), times

    def _cpu_seconds(self) -> float:
        return sum(self._loaded.cpu_seconds().values())


def _latencies(seen: Seen, times: Sequence[float], before: int, share: int) -> list[float]:
    """Return the seconds from the 202 of each batch until its `share` events were seen."""
    counts = [count for count, _ in seen]
    indexes = [bisect_left(counts, before + batch * share) for batch in range(1, len(times) + 1)]
    return [max(0.0, seen[index][1] - at) for index, at in zip(indexes, times, strict=True)]


def _percentiles_ms(latencies: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    ordered = sorted(latencies)
    return ordered[len(ordered) // 2] * 1e3, ordered[len(ordered) * 99 // 100] * 1e3


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


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    async with loaded_stack() as loaded:
        bench = _Bench(loaded)
        seen = [
            Candidate(
                f"{rate} events/s, {viewers} viewers", partial(bench.until_seen, rate, viewers)
            )
            for rate, viewers in ((200, 20), (2_000, 200))
        ]
        stored = [
            Candidate(f"{rate} events/s", partial(bench.until_stored, rate))
            for rate in (200, 5_000)
        ]
        yield [
            Workload("From the 202 to the live stream (SSE)", seen, warms_up=False),
            Workload("From the 202 to the row in SQL (SQLite)", stored, warms_up=False),
        ]
