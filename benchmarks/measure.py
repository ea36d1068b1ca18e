"""How everything is measured: candidates alternate, in shuffled order, over several rounds.

A figure says little by itself on a machine that does other things, too. What counts is how
candidates compare within a round, where they ran one after the other.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple, cast


class Spent(NamedTuple):
    """What one run of a candidate took: CPU of all its processes, but not of its load."""

    events: int
    seconds: float
    cpu_seconds: float
    #: Of an answer, in milliseconds: the median, and what 99 of 100 took at most.
    latencies_ms: tuple[float, float] | None = None
    #: What else there is to tell of this work, by the heads of its columns.
    figures: Mapping[str, float] = MappingProxyType({})


#: What one run of a candidate came to where it is not about events, by `report.COLUMNS`.
Figures = Mapping[str, float]


class Candidate(NamedTuple):
    """One way to do the work."""

    name: str
    run: Callable[[], Awaitable[Spent | Figures]]


class Work(NamedTuple):
    """What is done, and by whom; the others are compared with the first candidate."""

    title: str
    candidates: Sequence[Candidate]
    unit: str = "event"
    #: The column that the chart shows.
    shown: str = "cpu_us"
    #: Not where each run is a process that begins anew and lasts long.
    warms_up: bool = True


def in_process(name: str, job: Callable[[], Awaitable[int]]) -> Candidate:
    """Return a candidate that does its work in this process; `job` returns how many events."""

    async def run() -> Spent:
        began, cpu = time.perf_counter(), time.process_time()
        events = await job()
        return Spent(events, time.perf_counter() - began, time.process_time() - cpu)

    return Candidate(name, run)


def called(name: str, function: Callable[[Any], object], arguments: Sequence[Any]) -> Candidate:
    """Return a candidate that calls a function with each of the arguments."""

    async def job() -> int:
        for argument in arguments:
            function(argument)
        return len(arguments)

    return in_process(name, job)


async def measure(work: Work, rounds: int) -> dict[str, Any]:
    """Run all candidates in each round, once before to warm up; return what was found."""
    random = Random(rounds)  # noqa: S311 - an order, not a secret
    found: dict[str, list[Spent | Figures]] = {candidate.name: [] for candidate in work.candidates}
    for candidate in work.candidates if work.warms_up else ():
        await candidate.run()
    for number in range(rounds):
        for candidate in random.sample(work.candidates, len(work.candidates)):
            found[candidate.name].append(await candidate.run())
        print(f"  {work.title}: round {number + 1} of {rounds}", flush=True)
    told = [_told(runs, found[work.candidates[0].name]) for runs in found.values()]
    return {
        "title": work.title,
        "unit": work.unit,
        "shown": work.shown,
        "candidates": [
            {"name": name, **figures} for name, figures in zip(found, told, strict=True)
        ],
    }


def _told(runs: Sequence[Spent | Figures], first: Sequence[Spent | Figures]) -> dict[str, Any]:
    if isinstance(runs[0], Spent):
        return _spent(cast("Sequence[Spent]", runs), cast("Sequence[Spent]", first))
    figures = cast("Sequence[Figures]", runs)
    return {name: _spread([one[name] for one in figures]) for name in figures[0]}


def _spent(runs: Sequence[Spent], first: Sequence[Spent]) -> dict[str, Any]:
    costs = [run.cpu_seconds / run.events * 1e6 for run in runs]
    beside = [run.cpu_seconds / run.events * 1e6 for run in first]
    latencies = [run.latencies_ms for run in runs if run.latencies_ms is not None]
    return {
        "cpu_us": _spread(costs),
        "per_second": _spread([run.events / run.seconds for run in runs]),
        "times_the_first": _spread([a / b for a, b in zip(costs, beside, strict=True)]),
        **{
            name: _spread(values)
            for name, values in zip(
                ("p50_ms", "p99_ms"), zip(*latencies, strict=True), strict=False
            )
        },
        "figures": {head: _spread([run.figures[head] for run in runs]) for head in runs[0].figures},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"median": median(values), "low": min(values), "high": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}
