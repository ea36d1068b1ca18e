"""A program that is started again after it ends, as a service manager does."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_STOP_SECONDS = 20


class Program:
    """A process, with its output in a log file."""

    def __init__(self, argv: Sequence[str], log: Path, settings: Mapping[str, str]) -> None:
        self._argv, self._log = argv, log
        self._env = {**os.environ, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """The end of its output."""
        return self._log.read_text(errors="replace")[-2_000:]

    def start(self) -> None:
        """Start it; return before it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the programs of the benchmark
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def restart_if_ended(self) -> None:
        """Start it again if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """Kill it with SIGKILL, and start it again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.start()

    def stop(self) -> None:
        """Terminate it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time of processes and of their descendants, ended ones included."""
    return _sum(pids, lambda process: sum(process.cpu_times()[:4]))


def megabytes(pids: Sequence[int]) -> float:
    """Return the memory of processes and their descendants; shared pages are divided (PSS)."""
    return _sum(pids, lambda process: process.memory_full_info().pss) / 1e6


def _sum(pids: Sequence[int], value: Callable[[psutil.Process], float]) -> float:
    """Return the sum of a value of processes and their descendants."""
    total = 0.0
    for root in map(psutil.Process, pids):
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # such as a worker of PostgreSQL that has ended
                total += value(process)
    return total
