"""A child process that is restarted with backoff when it exits."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from headrace.errors import UserError
from headrace.local import process
from headrace.up.preloaded import Child

_MIN_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 5.0
#: An exit after this uptime resets the backoff.
_STABLE_SECONDS = 60.0
#: How long a process may fail its health checks before it is killed.
UNRESPONSIVE_SECONDS = 60.0

#: Exit codes after SIGTERM: handled, not yet handled during startup, and that of the JVM.
_GRACEFUL_EXIT_CODES = (0, -signal.SIGTERM, 128 + signal.SIGTERM)

#: The result of a graceful stop.
STOPPED = "stopped"


class SupervisedProcess:
    """A named process, restarted with exponential backoff when it exits.

    `start` starts the process and returns it; `pid_file` holds its id while it runs.
    """

    def __init__(self, name: str, start: Callable[[], Child], pid_file: Path) -> None:
        self.name = name
        self._start = start
        self._pid_file = pid_file
        self._process: Child | None = None
        self._started_at = 0.0
        self._backoff = 0.0
        self._start_at: float | None = None
        self._is_terminated = False
        self._has_pid_file = False
        self._failure = ""
        self._responded_at: float | None = None

    def start(self) -> None:
        """Start the process. Propagates errors, such as OSError on a full disk."""
        self._process = self._start()
        self._started_at = time.monotonic()
        self._start_at = self._responded_at = None
        self._has_pid_file = False
        self._write_pid()

    def restart(self) -> None:
        """Kill the process if it runs, and start it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.start()

    @property
    def has_exited(self) -> bool:
        """Whether the process has exited without a call of `stop`."""
        return self._process is not None and self._process.poll() is not None

    @property
    def exit_status(self) -> str:
        """The exit code or signal of a process that has exited; empty while it runs."""
        code = None if self._process is None else self._process.poll()
        return "" if code is None else _describe(code)

    def check(self, *, can_restart: bool = True) -> str | None:
        """Restart the process when its backoff is over; return a message if its state changed.

        A start that fails is retried; the same failure is returned once.
        """
        if self._start_at is not None:
            is_due = can_restart and time.monotonic() >= self._start_at
            return self._restart_after_exit() if is_due else None
        if self._process is None:
            return None
        if (code := self._process.poll()) is None:
            self._write_pid()
            return None
        self._remove_pid_file()
        if time.monotonic() - self._started_at > _STABLE_SECONDS:
            self._backoff = 0.0
        self._back_off()
        return f"{self.name} exited ({_describe(code)}); restarting it in {self._backoff:g} s"

    def _restart_after_exit(self) -> str | None:
        try:
            self.start()
        except (OSError, UserError) as error:
            self._back_off()
            previous, self._failure = self._failure, str(error)
            return None if previous == self._failure else f"{self.name} cannot be started: {error}"
        self._failure = ""
        return f"{self.name} restarted"

    def _back_off(self) -> None:
        self._backoff = min(max(_MIN_BACKOFF_SECONDS, self._backoff * 2), _MAX_BACKOFF_SECONDS)
        self._start_at = time.monotonic() + self._backoff

    def _remove_pid_file(self) -> None:
        with suppress(OSError):  # `read_pid` ignores a file whose process is gone
            self._pid_file.unlink(missing_ok=True)

    def _write_pid(self) -> None:
        """Write the pid file; if that fails, `check` retries."""
        if self._has_pid_file or self._process is None:
            return
        with suppress(OSError):
            process.write_pid(self._pid_file, self._process.pid)
            self._has_pid_file = True

    def terminate(self) -> None:
        """Send SIGTERM, once: a role exits immediately at a second one."""
        if self._process is not None and not self._is_terminated:
            self._process.terminate()
            self._is_terminated = True

    def stop(self, grace_seconds: float) -> str:
        """Stop the process, by SIGKILL after `grace_seconds`.

        Return `STOPPED` after a graceful exit, else a description of the exit.
        """
        if self._process is None:
            return STOPPED
        self.terminate()
        try:
            code = self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"killed after {grace_seconds:.0f} s"
        finally:
            self._remove_pid_file()
            self._process, self._start_at = None, None
        return STOPPED if code in _GRACEFUL_EXIT_CODES else f"exited ({_describe(code)})"

    def is_unresponsive(self, *, is_responding: bool) -> bool:
        """Record the result of a health check; return True, once, if too many failed in a row.

        A process that has not responded since its start is still starting.
        """
        now = time.monotonic()
        if is_responding:
            self._responded_at = now
        if self._responded_at is None or now - self._responded_at <= UNRESPONSIVE_SECONDS:
            return False
        self._responded_at = None
        return True

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._process is not None:
            self._process.kill()


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
