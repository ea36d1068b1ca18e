"""Runs the candidates of a workload in several rounds, each in random order.

Absolute figures vary with the other load of the machine. Comparisons of candidates within a round
are more reliable, because they run one after the other.
"""

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import repeat
from random import Random
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple, cast

#: The results of one run, by the column headings of the table.
Figures = Mapping[str, float]


class Measurement(NamedTuple):
    """One run of a candidate. CPU time is that of its processes, without the load generator's."""

    events: int
    seconds: float
    cpu_seconds: float
    #: The p50 and p99 of response times.
    latencies_ms: tuple[float, float] | None = None
    #: Other results.
    figures: Figures = MappingProxyType({})

    @property
    def cpu_us(self) -> float:
        """The CPU time per event, in microseconds."""
        return self.cpu_seconds / self.events * 1e6


class PeerUnavailable(Exception):  # noqa: N818 - a result that is reported
    """A peer cannot run on this machine; the message is the reason for the report."""


class Candidate(NamedTuple):
    """One implementation of a workload; `run` may raise `PeerUnavailable`."""

    name: str
    run: Callable[[], Awaitable[Measurement | Figures]]


class Workload(NamedTuple):
    """A workload and its candidates, which are compared with the first."""

    title: str
    candidates: Sequence[Candidate]
    unit: str = "event"
    #: The column that is shown in the chart, by default the first.
    chart_column: str = ""
    #: False if each run is a new process.
    warms_up: bool = True
    is_charted: bool = True
    #: None for as many as requested.
    rounds: int | None = None


def unavailable(name: str, reason: PeerUnavailable) -> Candidate:
    """Return a candidate whose peer is unavailable."""

    async def run() -> Measurement:
        raise reason

    return Candidate(name, run)


def in_process(name: str, job: Callable[[], Awaitable[int]]) -> Candidate:
    """Return a candidate that runs in this process; `job` returns the number of events."""

    async def run() -> Measurement:
        started_at, cpu = time.perf_counter(), time.process_time()
        events = await job()
        return Measurement(events, time.perf_counter() - started_at, time.process_time() - cpu)

    return Candidate(name, run)


def function_candidate(
    name: str, function: Callable[[Any], object], arguments: Sequence[Any]
) -> Candidate:
    """Return a candidate that calls a function with each of the arguments."""

    async def job() -> int:
        for argument in arguments:
            function(argument)
        return len(arguments)

    return in_process(name, job)


async def measure(workload: Workload, rounds: int) -> dict[str, Any]:
    """Run all candidates in each round, after a warm-up round; return the results.

    A candidate that fails is excluded from later rounds. If the first candidate fails, its error
    is raised.
    """
    rounds = workload.rounds or rounds
    random = Random(rounds)  # noqa: S311 - an order, not a secret
    runs = _Runs(workload)
    if workload.warms_up:
        await runs.round(workload.candidates, kept=False)
    for number in range(rounds):
        started_at = time.perf_counter()
        await runs.round(random.sample(workload.candidates, len(workload.candidates)))
        seconds = time.perf_counter() - started_at
        print(f"  {workload.title}: round {number + 1} of {rounds}, {seconds:.0f} s", flush=True)
    return {
        "title": workload.title,
        "chart_column": workload.chart_column,
        "is_charted": workload.is_charted,
        "candidates": runs.results(),
    }


class _Runs:
    """The runs of each candidate, and the reasons of excluded ones."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._first = workload.candidates[0].name
        self._runs: dict[str, list[Measurement | Figures]] = {
            candidate.name: [] for candidate in workload.candidates
        }
        self._excluded: dict[str, dict[str, Any]] = {}

    async def round(self, candidates: Sequence[Candidate], *, kept: bool = True) -> None:
        """Run each candidate that is not excluded."""
        for candidate in candidates:
            if candidate.name in self._excluded:
                continue
            try:
                run = await candidate.run()
            except Exception as error:
                if candidate.name == self._first:
                    raise
                self._excluded[candidate.name] = _outcome(error)
                print(
                    f"  {candidate.name} is unavailable: {_outcome(error)['unavailable']}",
                    flush=True,
                )
            else:
                self._runs[candidate.name] += [run] if kept else []

    def results(self) -> list[dict[str, Any]]:
        """Return the figures of each candidate, or why it was excluded."""
        return [{"name": name, **self._result(name)} for name in self._runs]

    def _result(self, name: str) -> dict[str, Any]:
        if name in self._excluded:
            return self._excluded[name]
        runs, first = self._runs[name], self._runs[self._first]
        return {"figures": _spreads(list(map(_figures, runs, first, repeat(self._workload.unit))))}


def _outcome(error: Exception) -> dict[str, Any]:
    """Return the result of an excluded candidate; print the traceback of unexpected errors."""
    if isinstance(error, PeerUnavailable):
        return {"unavailable": str(error)}
    traceback.print_exception(error)
    return {"unavailable": f"it failed ({type(error).__name__})", "failed": True}


def _figures(run: Measurement | Figures, first: Measurement | Figures, unit: str) -> Figures:
    """Return the figures of a run, with its CPU relative to the first candidate's in this round."""
    if not (isinstance(run, Measurement) and isinstance(first, Measurement)):
        return cast("Figures", run)
    latencies = zip(("p50 ms", "p99 ms"), run.latencies_ms or (), strict=False)
    return {
        f"CPU µs per {unit}": run.cpu_us,
        f"{unit}s per second": run.events / run.seconds,
        "CPU relative to the first": run.cpu_us / first.cpu_us,
        **dict(latencies),
        **run.figures,
    }


def _spreads(runs: Sequence[Figures]) -> dict[str, dict[str, float]]:
    return {head: _spread([run[head] for run in runs]) for head in runs[0]}


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"median": median(values), "low": min(values), "high": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}
