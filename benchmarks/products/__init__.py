"""headrace compared with whole products: from HTTP until the row is in SQL.

CPU time is that of all processes of a product, broker and database included. Each product is
started once per round, with an empty directory, and gets the same loads in the same order. Its
processes are killed in the first round only.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.measure import Candidate, Figures, Measurement, PeerUnavailable, Workload
from benchmarks.products.bento import Bento
from benchmarks.products.goatcounter import GoatCounter
from benchmarks.products.handwritten import Handwritten
from benchmarks.products.headrace_products import AllJobs, AllJobsPostgres, EventsOnly
from benchmarks.products.measuring import Measuring
from benchmarks.products.product import Product

TITLE = "Whole products on one machine: HTTP to SQL"

_Result = Measurement | Figures | PeerUnavailable
_SINGLE = "One event per request, 64 connections"
_BATCH = "100 events per request, 16 connections"
_RATE = 4_000
_STEADY_BATCH = f"A steady {_RATE:,} events/s, 100 per request"
_STEADY_SINGLE = "A steady 200 events/s, one per request"
_KILL = "Acknowledged events after a process is killed with -9"
_WARM_UP, _SINGLE_EVENTS, _BATCH_EVENTS, _SECONDS = 2_000, 8_000, 40_000, 4
#: The first is the one that the others are compared with.
_PRODUCTS: Mapping[str, type[Product]] = {
    "headrace, events only": EventsOnly,
    "headrace, all jobs, SQLite": AllJobs,
    "headrace, all jobs, PostgreSQL": AllJobsPostgres,
    "Bento, events only": Bento,
    "GoatCounter": GoatCounter,
    "FastAPI, Faust, SQLModel": Handwritten,
}


async def _measure(product: Product, killed: Sequence[str]) -> dict[str, _Result]:
    """Return the results of all loads, by workload and killed process."""
    measuring, share = Measuring(product), 0.1 if product.is_slow else 1.0
    await measuring.warm_up(_WARM_UP)
    results: dict[str, _Result] = {
        _SINGLE: await measuring.flood(round(_SINGLE_EVENTS * share), 1, 64),
        _BATCH: await measuring.flood(round(_BATCH_EVENTS * share), 100, 16),
        _STEADY_BATCH: PeerUnavailable("it is too slow"),
    }
    if not product.is_slow:
        results[_STEADY_BATCH] = await measuring.steady(_RATE, 100, _SECONDS)
    results[_STEADY_SINGLE] = await measuring.steady(200, 1, _SECONDS)
    for name in killed:
        results[name] = await measuring.kill(name)
    await measuring.close()
    return results


class _Rounds:
    """The results of each product and round; a product runs when its first one is requested."""

    def __init__(self) -> None:
        self._results: dict[str, list[Mapping[str, _Result] | Exception]] = {}
        self._returned: dict[tuple[str, str], int] = {}

    async def result(self, product: str, key: str) -> Measurement | Figures:
        """Return the next result of a product."""
        rounds = self._results.setdefault(product, [])
        number = self._returned.get((product, key), 0)
        self._returned[product, key] = number + 1
        if number == len(rounds):
            rounds.append(await asyncio.to_thread(_run, product, with_kills=number == 0))
        results = rounds[number]
        result = results if isinstance(results, Exception) else results[key]
        if isinstance(result, Exception):
            raise result
        return result


def _run(name: str, *, with_kills: bool) -> Mapping[str, _Result] | Exception:
    """Run a product in its own event loop, and in a thread that its processes end with."""
    product_type = _PRODUCTS[name]
    killed = product_type.killed if with_kills else ()
    try:
        with TemporaryDirectory() as folder, product_type(Path(folder)) as product:
            return uvloop.run(_measure(product, killed))
    except Exception as error:  # noqa: BLE001 - it is the result of each workload
        return error


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    rounds = _Rounds()

    def workload(title: str, chart_column: str) -> Workload:
        candidates = [Candidate(name, partial(rounds.result, name, title)) for name in _PRODUCTS]
        return Workload(title, candidates, chart_column=chart_column, warms_up=False)

    kills = [
        Candidate(f"{name}: {process}", partial(rounds.result, name, process))
        for name, product_type in _PRODUCTS.items()
        for process in product_type.killed
    ]
    yield [
        workload(_SINGLE, "events per second"),
        workload(_BATCH, "events per second"),
        workload(_STEADY_BATCH, ""),
        workload(_STEADY_SINGLE, ""),
        Workload(_KILL, kills, warms_up=False, is_charted=False, rounds=1),
    ]
