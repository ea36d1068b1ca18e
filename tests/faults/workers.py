"""Additional role processes for a stack, as an operator starts them."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from headrace.local.process import terminate
from schemas.clock_tolerance import CLOCK_PROBLEM
from tests.e2e.stack import PARTITIONS, Stack
from tests.fixtures.waiting import eventually

_START_SECONDS = 120
_STOP_SECONDS = 40

#: A `sitecustomize` that adds an offset to `time.time`.
_WRONG_CLOCK = """
import time

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {seconds}
time.time_ns = lambda: _time_ns() + {seconds} * 1_000_000_000
"""


#: The command `headrace` of this version.
HEADRACE = (sys.executable, "-m", "headrace")


class RoleProcess:
    """`headrace <role>` with the Kafka and the database of a stack; its output is in a file.

    `headrace` is the command of its version.
    """

    def __init__(
        self,
        stack: Stack,
        role: str,
        log: Path,
        settings: Mapping[str, str],
        headrace: Sequence[str] = HEADRACE,
    ) -> None:
        self.log = log
        environment = {
            **os.environ,
            "HEADRACE_API__SITES": "open",
            **stack.settings,
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": stack.kafka,
            "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
            "HEADRACE_DATABASE__URL": stack.database,
            **settings,
        }
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*headrace, role],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        """Wait until its partitions are assigned."""
        eventually(
            self._says_ready, within_seconds=_START_SECONDS, what=f"{self.log.name} is ready"
        )

    def end(self) -> int:
        """Stop it with SIGTERM, and return its exit code."""
        return terminate(self.process, _STOP_SECONDS)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        terminate(self.process, 0)

    @property
    def lines(self) -> list[str]:
        """The lines of its output so far."""
        return self.log.read_text(errors="replace").splitlines()

    def _says_ready(self) -> bool:
        output = self.log.read_text(errors="replace")
        assert self.process.poll() is None, f"it has ended:\n{output}"
        return ": ready" in output or CLOCK_PROBLEM in output


class Workers:
    """Starts role processes for a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.started: list[RoleProcess] = []

    def start(
        self,
        role: str,
        settings: Mapping[str, str] | None = None,
        headrace: Sequence[str] = HEADRACE,
    ) -> RoleProcess:
        """Start another process of a role, with the command `headrace` of its version."""
        log = self._stack.data_dir.with_suffix(f".{role}-{len(self.started)}")
        self.started.append(RoleProcess(self._stack, role, log, settings or {}, headrace))
        return self.started[-1]

    def wrong_clock(self, seconds: int) -> dict[str, str]:
        """Return the settings of a process whose clock is wrong."""
        folder = self._stack.data_dir.with_suffix(f".clock{seconds}")
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(_WRONG_CLOCK.format(seconds=seconds))
        return {"PYTHONPATH": str(folder)}


@contextmanager
def workers_of(stack: Stack) -> Iterator[Workers]:
    """Yield a starter of role processes; they are killed at the end of the block."""
    workers = Workers(stack)
    try:
        yield workers
    finally:
        for process in workers.started:
            process.kill()


def is_ready(url: str) -> bool:
    """Return True if an API server is ready."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 - ours
            return True
    except OSError:
        return False
