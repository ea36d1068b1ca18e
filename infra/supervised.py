"""A child process that is started again when it dies."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from infra import process
from infra.preloaded import Child

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 5.0
#: A child that lived so long was well: its next death is a new story.
_WELL_SECONDS = 60.0

#: What a process ends with when it was told to: by itself, by TERM before it had begun, or, as
#: the JVM says it, 143.
_IN_ORDER = (0, -signal.SIGTERM, 128 + signal.SIGTERM)


class Supervised:
    """One role's process: started, watched, started again after a growing pause, ended.

    `start` starts the process and returns it; `pid_file` tells its id while it runs.
    """

    def __init__(self, role: str, start: Callable[[], Child], pid_file: Path) -> None:
        self.role = role
        self._start = start
        self._pid_file = pid_file
        self._process: Child | None = None
        self._started_at = 0.0
        self._pause = 0.0
        self._start_at: float | None = None
        self._is_told = False

    def start(self) -> None:
        """Start the process now."""
        self._process = self._start()
        self._started_at = time.monotonic()
        self._start_at = None
        process.write_pid(self._pid_file, self._process.pid)

    @property
    def pid(self) -> int | None:
        """Its process id; None while none runs, or is known to have ended."""
        if self._process is None or self._start_at is not None:
            return None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Tell whether the process ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def check(self) -> str | None:
        """Start the process again when it is due; returns what there is to tell, or None."""
        if self._start_at is not None:
            if time.monotonic() < self._start_at:
                return None
            self.start()
            return f"{self.role} is started again"
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._pid_file.unlink(missing_ok=True)
        lived = time.monotonic() - self._started_at
        if lived > _WELL_SECONDS:
            self._pause = 0.0
        self._pause = min(max(_FIRST_BACKOFF_SECONDS, self._pause * 2), _LONGEST_BACKOFF_SECONDS)
        self._start_at = time.monotonic() + self._pause
        return f"{self.role} ended ({_how(code)}); starting it again in {self._pause:g} s"

    def tell_to_end(self) -> None:
        """Tell the process to end, once: a second TERM would end a role at once."""
        if self._process is not None and not self._is_told:
            self._process.terminate()
            self._is_told = True

    def stop(self, grace_seconds: float) -> str:
        """End the process, killing it after its grace; return how it ended."""
        if self._process is None:
            return "ended"
        self.tell_to_end()
        try:
            code = self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"killed after {grace_seconds:.0f} s"
        finally:
            self._pid_file.unlink(missing_ok=True)
            self._process, self._start_at = None, None
        return "ended" if code in _IN_ORDER else f"ended ({_how(code)})"

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
