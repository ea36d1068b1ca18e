"""`headrace up`: until it is ready, and what it costs while nothing happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.measure import Candidate, Figures, Work
from tests.e2e.stack import Stack

TITLE = "The start of everything, and its rest"
_IDLE_SECONDS = 10
#: Until caches are filled and what was begun at the start is over.
_SETTLE_SECONDS = 5
_PYTHON = ("up", "web", "streams", "live", "sinks")
_CPU = "CPU s until then"
_ALL = (*_PYTHON, "kafka")
#: A page that several processes have counts in PSS for each by its share.
_MEMORY = {"pss": "MB (PSS)", "uss": "MB of its own (USS)", "rss": "MB resident (RSS)"}
_GROUPS: Mapping[str, Sequence[str]] = {
    "all": _ALL,
    "Python in all": _PYTHON,
    **{name: [name] for name in _ALL},
}


class _Processes:
    """The processes of a stack, by what they are."""

    def __init__(self, stack: Stack) -> None:
        pids = {role: stack.pid(role) for role in _ALL[1:]}
        found = {role: psutil.Process(pid) for role, pid in pids.items()}
        self._by_name = {"up": found["kafka"].parent() or found["kafka"], **found}

    def cpu_seconds(self, names: Sequence[str]) -> float:
        """Return what they took since they were started."""
        times = [self._by_name[name].cpu_times() for name in names]
        return sum(float(one.user + one.system) for one in times)

    def java_cpu_seconds(self) -> float:
        """Return what Java took: the broker, and the tools that `up` ran before."""
        tools = self._by_name["up"].cpu_times()
        return self.cpu_seconds(["kafka"]) + float(tools.children_user + tools.children_system)

    def megabytes(self, names: Sequence[str]) -> dict[str, float]:
        """Return their memory."""
        memory = [self._by_name[name].memory_full_info() for name in names]
        return {
            head: sum(getattr(one, kind) for one in memory) / 1e6 for kind, head in _MEMORY.items()
        }


async def _start(stack: Stack) -> Figures:
    """Start it, end it; return seconds until it said that it is ready, and CPU until then."""
    began = time.perf_counter()
    try:
        await asyncio.to_thread(stack.start)
        seconds = time.perf_counter() - began
        processes = _Processes(stack)
        java, python = processes.java_cpu_seconds(), processes.cpu_seconds(_PYTHON)
    finally:
        await asyncio.to_thread(stack.end)
    return {
        "ready after s": seconds,
        _CPU: python + java,
        "of Python": python,
        "of Java": java,
    }


async def _start_anew() -> Figures:
    with TemporaryDirectory() as folder:
        return await _start(Stack(Path(folder) / "data"))


class _Rest:
    """One stack that does nothing; each look at it is shared by all who ask."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._looks: list[dict[str, Figures]] = []
        self._asked = dict.fromkeys(_GROUPS, 0)

    async def of(self, group: str) -> Figures:
        """Return the share of a core, and the memory, of a group of processes."""
        if not self._looks:
            await asyncio.to_thread(self._stack.start)
            await asyncio.sleep(_SETTLE_SECONDS)
        if self._asked[group] == len(self._looks):
            self._looks.append(await self._look(_Processes(self._stack)))
        self._asked[group] += 1
        return self._looks[self._asked[group] - 1][group]

    async def _look(self, processes: _Processes) -> dict[str, Figures]:
        before = {group: processes.cpu_seconds(names) for group, names in _GROUPS.items()}
        began = time.perf_counter()
        await asyncio.sleep(_IDLE_SECONDS)
        seconds = time.perf_counter() - began
        cpu = {group: processes.cpu_seconds(names) for group, names in _GROUPS.items()}
        return {
            group: {
                "% of a core": (cpu[group] - before[group]) / seconds * 100,
                **processes.megabytes(names),
            }
            for group, names in _GROUPS.items()
        }


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    with TemporaryDirectory() as folder:
        known, resting = Stack(Path(folder) / "known"), Stack(Path(folder) / "resting")
        rest = _Rest(resting)
        try:
            await _start(known)  # so that it exists
            yield [
                Work(
                    "`headrace up`",
                    [
                        Candidate("with a new data directory", _start_anew),
                        Candidate("with one that exists", partial(_start, known)),
                    ],
                    shown=_CPU,
                    warms_up=False,
                ),
                Work(
                    f"At rest, for {_IDLE_SECONDS} s",
                    [Candidate(group, partial(rest.of, group)) for group in _GROUPS],
                    shown=_MEMORY["pss"],
                    warms_up=False,
                ),
            ]
        finally:
            await asyncio.to_thread(resting.end)
