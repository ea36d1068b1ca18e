"""`headrace up`: the time until it is ready, and its resources while idle."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.measure import Candidate, Figures, Workload
from tests.e2e.stack import Stack

TITLE = "Start and idle load of headrace up"
_IDLE_SECONDS = 10
#: For caches to fill and startup work to finish.
_SETTLE_SECONDS = 5
_PYTHON = ("up", "web", "streams", "live", "sinks")
_CPU = "CPU s until ready"
_ALL = (*_PYTHON, "kafka")
#: PSS divides shared pages among the processes that map them.
_MEMORY = {"pss": "MB (PSS)", "uss": "MB unique (USS)", "rss": "MB resident (RSS)"}
_GROUPS: Mapping[str, Sequence[str]] = {
    "all": _ALL,
    "all Python": _PYTHON,
    **{name: [name] for name in _ALL},
}


class _Processes:
    """The processes of a stack, by name."""

    def __init__(self, stack: Stack) -> None:
        pids = {role: stack.pid(role) for role in _ALL[1:]}
        roles = {role: psutil.Process(pid) for role, pid in pids.items()}
        self._by_name = {"up": roles["kafka"].parent() or roles["kafka"], **roles}

    def cpu_seconds(self, names: Sequence[str]) -> float:
        """Return the CPU time of processes since they started."""
        times = [self._by_name[name].cpu_times() for name in names]
        return sum(float(cpu.user + cpu.system) for cpu in times)

    def java_cpu_seconds(self) -> float:
        """Return the CPU time of the broker and of the Java tools that `up` ran before."""
        tools = self._by_name["up"].cpu_times()
        return self.cpu_seconds(["kafka"]) + float(tools.children_user + tools.children_system)

    def megabytes(self, names: Sequence[str]) -> dict[str, float]:
        """Return the memory of processes, in megabytes."""
        memory = [self._by_name[name].memory_full_info() for name in names]
        return {
            head: sum(getattr(info, kind) for info in memory) / 1e6
            for kind, head in _MEMORY.items()
        }


async def _start(stack: Stack) -> Figures:
    """Start and stop a stack; return the time and CPU time until it was ready."""
    started_at = time.perf_counter()
    try:
        await asyncio.to_thread(stack.start)
        seconds = time.perf_counter() - started_at
        processes = _Processes(stack)
        java, python = processes.java_cpu_seconds(), processes.cpu_seconds(_PYTHON)
    finally:
        await asyncio.to_thread(stack.end)
    return {
        "s until ready": seconds,
        _CPU: python + java,
        "of which Python": python,
        "of which Java": java,
    }


async def _start_fresh() -> Figures:
    with TemporaryDirectory() as folder:
        return await _start(Stack(Path(folder) / "data"))


class _IdleStack:
    """An idle stack; its samples are shared by all candidates."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._samples: list[dict[str, Figures]] = []
        self._returned = dict.fromkeys(_GROUPS, 0)

    async def of(self, group: str) -> Figures:
        """Return the next sample of a group of processes."""
        if not self._samples:
            await asyncio.to_thread(self._stack.start)
            await asyncio.sleep(_SETTLE_SECONDS)
        if self._returned[group] == len(self._samples):
            self._samples.append(await self._sample(_Processes(self._stack)))
        self._returned[group] += 1
        return self._samples[self._returned[group] - 1][group]

    async def _sample(self, processes: _Processes) -> dict[str, Figures]:
        before = {group: processes.cpu_seconds(names) for group, names in _GROUPS.items()}
        started_at = time.perf_counter()
        await asyncio.sleep(_IDLE_SECONDS)
        seconds = time.perf_counter() - started_at
        cpu = {group: processes.cpu_seconds(names) for group, names in _GROUPS.items()}
        return {
            group: {
                "% of a core": (cpu[group] - before[group]) / seconds * 100,
                **processes.megabytes(names),
            }
            for group, names in _GROUPS.items()
        }


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    with TemporaryDirectory() as folder:
        existing, idle = Stack(Path(folder) / "existing"), Stack(Path(folder) / "idle")
        samples = _IdleStack(idle)
        try:
            await _start(existing)  # creates the data directory
            yield [
                Workload(
                    "`headrace up`",
                    [
                        Candidate("with a new data directory", _start_fresh),
                        Candidate("with an existing one", partial(_start, existing)),
                    ],
                    chart_column=_CPU,
                    warms_up=False,
                ),
                Workload(
                    f"Idle, over {_IDLE_SECONDS} s",
                    [Candidate(group, partial(samples.of, group)) for group in _GROUPS],
                    chart_column=_MEMORY["pss"],
                    warms_up=False,
                ),
            ]
        finally:
            await asyncio.to_thread(idle.end)
