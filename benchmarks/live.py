"""A whole headrace: from the 202 of a batch until people see it, and until it is in SQL."""

import asyncio
import json
import uuid
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.loaded import LoadedStack, loaded_stack
from benchmarks.measure import Candidate, Spent, Work
from tests.e2e.watchers import Watcher, watching
from tests.fixtures.waiting import eventually_async

TITLE = "A whole headrace on one machine, broker included"
SITES = ("shop", "blog", "docs", "news")
_SECONDS = 8
#: At every rate, so that a round times 400 of them: of fewer, the last hundredth is a handful.
_BATCHES_A_SECOND = 50

#: When how many events were seen, by time.
Seen = list[tuple[int, float]]


class _TimedWatcher(Watcher):
    """Notes when it was told of how many events more than before."""

    def __init__(self, url: str, token: str, site_id: str) -> None:
        super().__init__(url, token, site_id)
        self.seen: Seen = []

    def told_of(self, message: dict[str, Any]) -> None:
        """Take a message."""
        super().told_of(message)
        self.seen.append((sum(message["per_minute"]), asyncio.get_running_loop().time()))


class _Bench:
    """One stack, of which several runs ask; each goes on where the last one ended."""

    def __init__(self, loaded: LoadedStack) -> None:
        self._stack = loaded.stack
        self._loaded = loaded

    async def until_seen(self, rate: int, people: int) -> Spent:
        """Send at a rate while people watch; time each batch until each of them sees it."""
        token = (self._stack.data_dir / "owner.token").read_text().strip()
        watchers = [
            _TimedWatcher(self._stack.url, token, SITES[n % len(SITES)]) for n in range(people)
        ]
        before = self._loaded.sent // len(SITES)
        async with watching(watchers):
            spent, times = await self._send(rate)
            after = self._loaded.sent // len(SITES)
            await eventually_async(
                lambda: all(one.seen and one.seen[-1][0] >= after for one in watchers),
                within_seconds=60,
                what="all is seen",
            )
        share = rate // _BATCHES_A_SECOND // len(SITES)
        late = [one for watcher in watchers for one in _late(watcher.seen, times, before, share)]
        return spent._replace(latencies_ms=_shares(late))

    async def until_stored(self, rate: int) -> Spent:
        """Send at a rate; time each batch until its events are rows."""
        before, seen, over = self._loaded.sent, list[tuple[int, float]](), asyncio.Event()

        async def look() -> None:
            while not (over.is_set() and seen and seen[-1][0] >= self._loaded.sent):
                query = "SELECT count(*) AS n FROM events"
                rows = await asyncio.to_thread(self._stack.rows, query)
                seen.append((rows[0]["n"], asyncio.get_running_loop().time()))
                await asyncio.sleep(0.02)

        looking = asyncio.ensure_future(look())
        spent, times = await self._send(rate)
        over.set()
        await asyncio.wait_for(looking, 60)
        late = _late(seen, times, before, rate // _BATCHES_A_SECOND)
        return spent._replace(latencies_ms=_shares(late))

    async def _send(self, rate: int) -> tuple[Spent, list[float]]:
        """Send batch after batch; return what it took, and when each was acknowledged."""
        count, batch = _SECONDS * rate, rate // _BATCHES_A_SECOND
        events = [_event(self._loaded.sent + number) for number in range(count)]
        bodies = [
            json.dumps(events[begin : begin + batch]).encode() for begin in range(0, count, batch)
        ]
        cpu = self._cpu_seconds()
        began, times = await self._loaded.send(bodies, batch, rate)
        seconds = asyncio.get_running_loop().time() - began
        return Spent(count, seconds, self._cpu_seconds() - cpu), times

    def _cpu_seconds(self) -> float:
        return sum(self._loaded.cpu_seconds().values())


def _late(seen: Seen, times: Sequence[float], before: int, share: int) -> list[float]:
    """Return each batch's seconds from its 202 until so many events more were seen."""
    counts = [count for count, _ in seen]
    firsts = [bisect_left(counts, before + batch * share) for batch in range(1, len(times) + 1)]
    return [max(0.0, seen[first][1] - at) for first, at in zip(firsts, times, strict=True)]


def _shares(late: list[float]) -> tuple[float, float]:
    ordered = sorted(late)
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
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    async with loaded_stack() as loaded:
        bench = _Bench(loaded)
        seen = [
            Candidate(f"{rate} events/s, {people} watch", partial(bench.until_seen, rate, people))
            for rate, people in ((200, 20), (2_000, 200))
        ]
        stored = [
            Candidate(f"{rate} events/s", partial(bench.until_stored, rate))
            for rate in (200, 5_000)
        ]
        yield [
            Work("From the 202 to the live stream (SSE)", seen, warms_up=False),
            Work("From the 202 to the row in SQL (SQLite)", stored, warms_up=False),
        ]
