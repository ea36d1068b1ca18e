"""Measures a product: floods, steady rates, and events that are lost when a process is killed."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from benchmarks.events import numbered_event
from benchmarks.measure import Figures, Measurement
from benchmarks.products.load import Load
from benchmarks.products.product import Product
from benchmarks.products.program import cpu_seconds, megabytes

_DONE_SECONDS = 120
_POLL_SECONDS = 0.02
#: How many events of a flood and of a steady rate are looked up.
_OF_FLOOD, _OF_RATE = 64, 240
_CONNECTIONS = 16
#: The load while a process is killed.
_KILL_EVENTS, _KILL_RATE, _KILL_AFTER_SECONDS = 1_500, 500, 1.0


class Requests(NamedTuple):
    """Requests with `batch` events each, and the events that are looked up in SQL."""

    bodies: Sequence[bytes]
    batch: int
    #: The number of the request of each event.
    looked_up: Mapping[str, int]

    @property
    def events(self) -> int:
        """The number of events."""
        return len(self.bodies) * self.batch


class Measuring:
    """Measures a running product. Each load has new events, the same for all products."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._rows = product.rows()
        self._numbers = count()
        self._sent = self._empty_bytes = 0

    async def warm_up(self, events: int) -> None:
        """Send events before the first measurement; the bytes on disk count from now on."""
        self._empty_bytes = await self._disk_bytes()
        await self.flood(events, 100, _CONNECTIONS)

    async def close(self) -> None:
        """Close the connections to the database."""
        await self._rows.close()

    async def flood(self, events: int, batch: int, connections: int) -> Measurement:
        """Send as fast as the product responds; measure until everything is processed."""
        requests = self._requests(events, batch, _OF_FLOOD)
        clock, pids = asyncio.get_running_loop().time, self._product.pids()
        cpu, started_at = cpu_seconds(pids), clock()
        await self._send(requests, Load(self._product.port, requests.bodies, connections))
        await self._until_stored(set(requests.looked_up))
        seconds = clock() - started_at
        return Measurement(requests.events, seconds, cpu_seconds(pids) - cpu)

    async def steady(self, rate: int, batch: int, seconds: int) -> Measurement:
        """Send `rate` events per second; measure the time from the response until SQL."""
        requests = self._requests(rate * seconds, batch, _OF_RATE)
        load = Load(self._product.port, requests.bodies, _CONNECTIONS, rate / batch)
        pids, accepted = self._product.pids(), list[float | None]()
        cpu = cpu_seconds(pids)
        latencies, _ = await asyncio.gather(
            self._latencies(requests, accepted), self._send(requests, load, accepted)
        )
        await self._until_stored(set())
        cpu, memory = cpu_seconds(pids) - cpu, megabytes(pids)
        bytes_per_event = (await self._disk_bytes() - self._empty_bytes) / self._sent
        figures = {"MB (PSS)": memory, "bytes on disk": bytes_per_event}
        return Measurement(requests.events, seconds, cpu, _percentiles_ms(latencies), figures)

    async def kill(self, name: str) -> Figures:
        """Kill a process during a load and start it again; count accepted events that are lost."""
        requests = self._requests(_KILL_EVENTS, 1, _KILL_EVENTS)
        load = Load(self._product.port, requests.bodies, _CONNECTIONS, _KILL_RATE)
        sending = asyncio.ensure_future(load.send())
        await asyncio.sleep(_KILL_AFTER_SECONDS)
        await asyncio.to_thread(self._product.kill, name)
        times = await sending
        accepted = {one for one, number in requests.looked_up.items() if times[number] is not None}
        clock = asyncio.get_running_loop().time
        ended_at = clock()
        lost, last_stored_at = await self._until_settled(set(accepted))
        return {
            "acknowledged events": len(accepted),
            "of which lost": len(lost),
            "s until the last row": max(0.0, last_stored_at - ended_at),
        }

    def _requests(self, events: int, batch: int, looked_up: int) -> Requests:
        total = events // batch
        batches = [list(map(numbered_event, islice(self._numbers, batch))) for _ in range(total)]
        step = max(1, total // looked_up)
        chosen = {batches[number][-1]["event_id"]: number for number in range(total)[::-step]}
        return Requests([self._product.request(one, chosen) for one in batches], batch, chosen)

    async def _send(
        self, requests: Requests, load: Load, accepted: list[float | None] | None = None
    ) -> None:
        times = await load.send(accepted)
        others = times.count(None)
        if others and not self._product.stores_rejected:
            raise RuntimeError(f"{others} of {len(times)} requests were not accepted")
        self._sent += requests.events

    async def _until_stored(self, ids: set[str]) -> None:
        """Wait until these events, all other events and all other results are stored."""
        async with asyncio.timeout(_DONE_SECONDS):
            while ids:
                ids -= await self._rows.find(ids)
                await asyncio.sleep(_POLL_SECONDS)
            while await self._rows.count() < self._sent:  # noqa: ASYNC110 - SQL
                await asyncio.sleep(5 * _POLL_SECONDS)
            await self._product.until_processed()

    async def _latencies(
        self, requests: Requests, accepted: Sequence[float | None]
    ) -> Sequence[float]:
        """Return the seconds from the response of each looked-up event until it is in SQL."""
        waiting, latencies = dict(requests.looked_up), list[float]()
        async with asyncio.timeout(_DONE_SECONDS):
            while waiting:
                times = {one: accepted[n] for one, n in waiting.items() if n < len(accepted)}
                found = await self._rows.find({one for one, at in times.items() if at is not None})
                now = asyncio.get_running_loop().time()
                latencies += [now - (times[one] or now) for one in found]
                waiting = {one: n for one, n in waiting.items() if one not in found}
                await asyncio.sleep(_POLL_SECONDS)
        return latencies

    async def _until_settled(self, missing: set[str]) -> tuple[set[str], float]:
        """Wait until events are stored or no more are; return the missing ones and when."""
        clock = asyncio.get_running_loop().time
        changed_at = clock()
        while missing and clock() < changed_at + self._product.settle_seconds:
            await asyncio.to_thread(self._product.keep_running)
            found = set[str]()
            with suppress(SQLAlchemyError, OSError):  # while the database starts
                found = set(await self._rows.ids()) & missing
            if found:
                missing, changed_at = missing - found, clock()
            await asyncio.sleep(5 * _POLL_SECONDS)
        return missing, changed_at

    async def _disk_bytes(self) -> int:
        return self._product.file_bytes() + await self._rows.database_bytes()


def _percentiles_ms(latencies: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    ordered = sorted(latencies)
    return ordered[len(ordered) // 2] * 1e3, ordered[len(ordered) * 99 // 100] * 1e3
