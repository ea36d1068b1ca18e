"""How everything is measured: candidates alternate, in shuffled order, over several rounds.

A figure says little by itself on a machine that does other things, too. What counts is how
candidates compare within a round, where they ran one after the other.
"""

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import repeat
from random import Random
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple, cast

#: What one run of a candidate came to, by the heads of the table's columns.
Figures = Mapping[str, float]


class Spent(NamedTuple):
    """What one run of a candidate took: CPU of all its processes, but not of its load."""

    events: int
    seconds: float
    cpu_seconds: float
    #: Of an answer, in milliseconds: the median, and what 99 of 100 took at most.
    latencies_ms: tuple[float, float] | None = None
    #: What else there is to tell.
    figures: Figures = MappingProxyType({})

    @property
    def cpu_us(self) -> float:
        """CPU time of one event."""
        return self.cpu_seconds / self.events * 1e6


class Absent(Exception):  # noqa: N818 - it is an outcome
    """A peer cannot be had on this machine; its text says why, in words for the report."""


class Candidate(NamedTuple):
    """One way to do the work; `run` raises `Absent` where its peer cannot be had."""

    name: str
    run: Callable[[], Awaitable[Spent | Figures]]


class Work(NamedTuple):
    """What is done, and by whom; the others are compared with the first candidate."""

    title: str
    candidates: Sequence[Candidate]
    unit: str = "event"
    #: The head of the column that the chart shows; without one, the first.
    shown: str = ""
    #: Not where each run is a process that begins anew and lasts long.
    warms_up: bool = True


def absent(name: str, why: Absent) -> Candidate:
    """Return the candidate of a peer that cannot be had."""

    async def run() -> Spent:
        raise why

    return Candidate(name, run)


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
    """Run all candidates in each round, once before to warm up; return what was found.

    One that fails is out, and the others go on; without the first there is nothing to compare.
    """
    random = Random(rounds)  # noqa: S311 - an order, not a secret
    running = _Running(work)
    if work.warms_up:
        await running.round(work.candidates, kept=False)
    for number in range(rounds):
        began = time.perf_counter()
        await running.round(random.sample(work.candidates, len(work.candidates)))
        seconds = time.perf_counter() - began
        print(f"  {work.title}: round {number + 1} of {rounds}, {seconds:.0f} s", flush=True)
    return {"title": work.title, "shown": work.shown, "candidates": running.found()}


class _Running:
    """The candidates of a work: what each run came to, and who is out, and why."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._first = work.candidates[0].name
        self._runs: dict[str, list[Spent | Figures]] = {one.name: [] for one in work.candidates}
        self._out: dict[str, dict[str, Any]] = {}

    async def round(self, candidates: Sequence[Candidate], *, kept: bool = True) -> None:
        """Run each candidate that is not out."""
        for candidate in candidates:
            if candidate.name in self._out:
                continue
            try:
                run = await candidate.run()
            except Exception as error:
                if candidate.name == self._first:
                    raise
                self._out[candidate.name] = _outcome(error)
                print(f"  {candidate.name} is absent: {_outcome(error)['absent']}", flush=True)
            else:
                self._runs[candidate.name] += [run] if kept else []

    def found(self) -> list[dict[str, Any]]:
        """Return each candidate's figures, or why it has none."""
        return [{"name": name, **self._found_of(name)} for name in self._runs]

    def _found_of(self, name: str) -> dict[str, Any]:
        if name in self._out:
            return self._out[name]
        runs, first = self._runs[name], self._runs[self._first]
        return {"figures": _spreads(list(map(_figures, runs, first, repeat(self._work.unit))))}


def _outcome(error: Exception) -> dict[str, Any]:
    """Return what is told of one that is out; what nobody expected is shown on the screen."""
    if isinstance(error, Absent):
        return {"absent": str(error)}
    traceback.print_exception(error)
    return {"absent": f"it failed ({type(error).__name__})", "failed": True}


def _figures(run: Spent | Figures, first: Spent | Figures, unit: str) -> Figures:
    """Return the figures of a run, beside the first candidate's of the same round."""
    if not (isinstance(run, Spent) and isinstance(first, Spent)):
        return cast("Figures", run)
    latencies = zip(("p50 ms", "p99 ms"), run.latencies_ms or (), strict=False)
    return {
        f"CPU µs per {unit}": run.cpu_us,
        f"{unit}s per second": run.events / run.seconds,
        "CPU, times the first": run.cpu_us / first.cpu_us,
        **dict(latencies),
        **run.figures,
    }


def _spreads(runs: Sequence[Figures]) -> dict[str, dict[str, float]]:
    return {head: _spread([run[head] for run in runs]) for head in runs[0]}


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"median": median(values), "low": min(values), "high": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}
