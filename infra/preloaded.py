"""Commands of ours that start with everything imported: as copies of this process.

What the roles import takes a second of CPU and 90 MB. `headrace up` does so once, while the
broker starts, and then forks: a role shares memory with the others until it writes to it.
"""

import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path

from setproctitle import setproctitle

from infra import guard, process
from infra.private import UMASK

#: What the commands of the roles import.
_MODULES = (
    "infra.database",
    "infra.owner",
    "infra.role",
    "infra.web",
    "producer_api.server",
    "sinks.app",
    "streams.app",
    "streams.live_app",
)
#: Elsewhere, what the system's own libraries hold is not made to be copied.
_FORKS = sys.platform == "linux"
#: What `headrace up` handles: between fork and role they wait, for whom they are meant.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def preload() -> None:
    """Import what the roles need, for the copies to come."""
    if not _FORKS:
        return
    for name in _MODULES:
        import_module(name)
    # The collector writes to each object that it looks at, and so would make a copy's memory
    # its own.
    gc.collect()
    gc.freeze()


def start(arguments: Sequence[str], *, log: Path, env: Mapping[str, str]) -> "Child":
    """Start `headrace` with these arguments, with the promises of `process.spawn`."""
    # A copy has none of the other threads, but the locks that they held.
    if _FORKS and threading.active_count() == 1:
        return Forked(arguments, log, env)
    return process.spawn([sys.executable, "-m", "infra", *arguments], log=log, env=env)


class Forked:
    """A copy of this process that runs a command, with the methods of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._process: BaseProcess = multiprocessing.get_context("fork").Process(
            target=_become, args=(arguments, log, env, os.getpid(), before), daemon=True
        )
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid or 0  # it was started: it has one

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code; `TimeoutExpired` if it has not ended."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Send TERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send KILL."""
        self._process.kill()


Child = subprocess.Popen[bytes] | Forked


def _become(
    arguments: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    parent: int,
    signals: set[signal.Signals],
) -> None:
    """Be to the system, and run, what `python -m infra` with these arguments would be."""
    guard.die_with(parent)
    os.setsid()
    os.umask(UMASK)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for place, file in enumerate((nothing, output, output)):
            os.dup2(file.fileno(), place)
    setproctitle(" ".join(("headrace", *arguments)))  # which looks for the first environment
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    runpy.run_module("infra", run_name="__main__")
