"""Start `headrace` commands by forking this process, with all modules already imported.

The imports of a role take a second of CPU and 90 MB. `headrace up` imports once, while the broker
starts, and forks; the processes share the memory of the modules (copy-on-write).
"""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from setproctitle import setproctitle

from headrace.local import guard, process
from headrace.local.permissions import UMASK

#: The imports of the roles.
_MODULES = (
    "headrace.admin.database",
    "headrace.admin.topics",
    "headrace.roles.owner_token",
    "headrace.roles.run",
    "headrace.roles.web",
    "producer_api.http.server",
    "sinks.app",
    "streams.app",
    "streams.live_app",
)
#: System libraries of other platforms are not fork-safe.
_CAN_FORK = sys.platform == "linux"
#: The signals that `headrace up` handles; blocked until the forked child has its own handlers.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def preload() -> None:
    """Import the modules of the roles, before the first `start`."""
    if not _CAN_FORK:
        return
    gc.disable()  # almost nothing becomes garbage; collections would take a fifth of the time
    for name in _MODULES:
        import_module(name)
    _create_faust_app()
    # Otherwise garbage collections in a child would write to the shared objects, and copy them.
    gc.collect()
    gc.freeze()
    gc.enable()


def _create_faust_app() -> None:
    """Create a Faust app: the first one of a process imports modules, which takes 0.1 s of CPU."""
    from streams.engine.faust_app import create_app  # noqa: PLC0415 - imported by `preload`

    with TemporaryDirectory() as directory:
        app = create_app("headrace", directory)
        app.agent(app.channel())(lambda _: None)
        app.finalize()


def start(arguments: Sequence[str], *, log: Path, env: Mapping[str, str]) -> "Child":
    """Start `headrace` with these arguments, with the guarantees of `process.spawn`."""
    # A fork copies the locks of other threads, but not the threads that would release them.
    if _CAN_FORK and threading.active_count() == 1:
        return ForkedProcess(arguments, log, env)
    return process.spawn([sys.executable, "-m", "headrace", *arguments], log=log, env=env)


class ForkedProcess:
    """A fork of this process that runs a command, with the methods of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._process: BaseProcess = multiprocessing.get_context("fork").Process(
            target=_run_command, args=(arguments, log, env, os.getpid(), before), daemon=True
        )
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid or 0  # never None after start

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()


Child = subprocess.Popen[bytes] | ForkedProcess


def _run_command(
    arguments: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    parent: int,
    signals: set[signal.Signals],
) -> None:
    """Set up the forked process like a new one, and run `headrace` with these arguments."""
    guard.die_with(parent)
    os.setsid()
    os.umask(UMASK)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for descriptor, file in enumerate((nothing, output, output)):
            os.dup2(file.fileno(), descriptor)
    # Before the environment changes: setproctitle searches for the initial one.
    setproctitle(" ".join(("headrace", *arguments)))
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    import_module("headrace.__main__").main()
