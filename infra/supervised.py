"""A child process that is started again when it dies."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from infra import process
from infra.errors import UserError
from infra.preloaded import Child

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 5.0
#: A child that lived so long was well: its next death is a new story.
_WELL_SECONDS = 60.0
#: One that has answered and then does not for so long is frozen, or hopelessly busy.
SILENCE_SECONDS = 60.0

#: What a process ends with when it was told to: by itself, by TERM before it had begun, or, as
#: the JVM says it, 143.
_IN_ORDER = (0, -signal.SIGTERM, 128 + signal.SIGTERM)


#: How a process ended that was told to and did so in order.
ENDED = "ended"


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
        self._has_pid_file = False
        self._failure = ""
        self._heard_at: float | None = None

    def start(self) -> None:
        """Start the process now; raises what `start` raises, as OSError on a full disk."""
        self._process = self._start()
        self._started_at = time.monotonic()
        self._start_at = self._heard_at = None
        self._has_pid_file = False
        self._write_pid()

    def restart(self) -> None:
        """Start the process, after killing one that still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.start()

    @property
    def has_ended(self) -> bool:
        """Whether the process ended by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    def how_ended(self) -> str:
        """The exit code or signal of a process that has ended; empty while it runs."""
        code = None if self._process is None else self._process.poll()
        return "" if code is None else _how(code)

    def check(self, *, hold: bool = False) -> str | None:
        """Start the process again when it is due, unless on hold; returns news about it, or None.

        A start that fails is tried again, and its failure is news once.
        """
        if self._start_at is not None:
            return None if hold or time.monotonic() < self._start_at else self._start_again()
        if self._process is None:
            return None
        if (code := self._process.poll()) is None:
            self._write_pid()
            return None
        self._remove_pid_file()
        lived = time.monotonic() - self._started_at
        if lived > _WELL_SECONDS:
            self._pause = 0.0
        self._back_off()
        return f"{self.role} ended ({_how(code)}); starting it again in {self._pause:g} s"

    def _start_again(self) -> str | None:
        try:
            self.start()
        except (OSError, UserError) as error:
            self._back_off()
            before, self._failure = self._failure, str(error)
            return None if before == self._failure else f"{self.role} is not started: {error}"
        self._failure = ""
        return f"{self.role} is started again"

    def _back_off(self) -> None:
        self._pause = min(max(_FIRST_BACKOFF_SECONDS, self._pause * 2), _LONGEST_BACKOFF_SECONDS)
        self._start_at = time.monotonic() + self._pause

    def _remove_pid_file(self) -> None:
        with suppress(OSError):  # no process has the id: `read_pid` finds that out, too
            self._pid_file.unlink(missing_ok=True)

    def _write_pid(self) -> None:
        """Write the pid file; on a disk that takes no writes, `check` tries it again."""
        if self._has_pid_file or self._process is None:
            return
        with suppress(OSError):
            process.write_pid(self._pid_file, self._process.pid)
            self._has_pid_file = True

    def tell_to_end(self) -> None:
        """Tell the process to end, once: a second TERM would end a role at once."""
        if self._process is not None and not self._is_told:
            self._process.terminate()
            self._is_told = True

    def stop(self, grace_seconds: float) -> str:
        """End the process, killing it after its grace; return how it ended: `ENDED` is in order."""
        if self._process is None:
            return ENDED
        self.tell_to_end()
        try:
            code = self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"killed after {grace_seconds:.0f} s"
        finally:
            self._remove_pid_file()
            self._process, self._start_at = None, None
        return ENDED if code in _IN_ORDER else f"ended ({_how(code)})"

    def is_silent(self, *, is_heard: bool) -> bool:
        """Note whether the process answers; return True once it has not for too long.

        One that has never answered since its start is still starting.
        """
        now = time.monotonic()
        if is_heard:
            self._heard_at = now
        if self._heard_at is None or now - self._heard_at <= SILENCE_SECONDS:
            return False
        self._heard_at = None
        return True

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
