"""Commands that are forked from a process with preloaded modules."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from headrace.local import process
from tests.fixtures.waiting import eventually

# A command that runs until it is stopped, and what it logs when it has started.
_ENDLESS = "live"
_STARTED = "Kafka does not answer at 127.0.0.1:1"
# A parent that locks a broker's files, starts a command, and prints its process id and exit code.
_PARENT = """
import os, sys, threading
from pathlib import Path
from headrace.up import preloaded
from headrace.local.broker.directory import BrokerDirectory
log, threads, *arguments = sys.argv[1:]
env = {**os.environ, "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
BrokerDirectory(Path(log).parent).lock()
for _ in range(int(threads)):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
child = preloaded.start(arguments, log=Path(log), env=env)
print(child.pid, flush=True)
print(child.wait(), flush=True)
"""


@contextmanager
def _started(
    log: Path, *arguments: str, threads: int = 0
) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Yield the parent and the command."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(log), str(threads), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    try:
        yield parent, psutil.Process(int(parent.stdout.readline()))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


@contextmanager
def _running(log: Path, threads: int = 0) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Yield the parent and a running command."""
    with _started(log, _ENDLESS, threads=threads) as (parent, child):
        eventually(
            lambda: log.exists() and _STARTED in log.read_text(),
            within_seconds=30,
            what="the command has started",
        )
        yield parent, child


def _exit_code(parent: subprocess.Popen[str]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [(["--version"], 0, "headrace "), (["nonsense"], 2, "nonsense"), (["streams"], -9, "starting")],
)
def test_the_output_goes_to_the_log_and_the_parent_gets_the_exit_code(
    tmp_path: Path, arguments: list[str], code: int, output: str
) -> None:
    """Also after SIGKILL. The output is appended."""
    log = tmp_path / "log"
    log.write_text("before\n")
    with _started(log, *arguments) as (parent, child):
        eventually(
            lambda: output in log.read_text(), within_seconds=30, what="its output is logged"
        )
        if code < 0:
            child.send_signal(-code)

        assert _exit_code(parent) == str(code)
        assert log.read_text().startswith("before\n")


def test_a_command_is_a_direct_child_with_its_own_session(tmp_path: Path) -> None:
    """Ctrl-C does not reach it, `ps` shows its arguments, and it holds no locks of its parent."""
    with _running(tmp_path / "log") as (parent, child):
        assert child.ppid() == parent.pid
        assert os.getsid(child.pid) == child.pid
        assert " ".join(child.cmdline()).split()[-1] == _ENDLESS
        assert not any(file.path.endswith("kafka.lock") for file in child.open_files())


def test_sigterm_stops_a_command_gracefully(tmp_path: Path) -> None:
    """It handles the signal itself."""
    with _running(tmp_path / "log") as (parent, child):
        child.send_signal(signal.SIGTERM)

        assert _exit_code(parent) == "0"
        assert "live: stopped" in (tmp_path / "log").read_text()


def test_a_command_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL of the parent also kills the command."""
    with _running(tmp_path / "log") as (parent, child):
        parent.kill()
        parent.wait()

        eventually(
            lambda: not process.is_alive(child.pid), within_seconds=15, what="the command is gone"
        )


def test_a_process_with_threads_is_not_forked(tmp_path: Path) -> None:
    """The child would have the locks of threads that do not exist there."""
    with _running(tmp_path / "log", threads=1) as (_, child):
        assert child.cmdline()[1:] == ["-m", "headrace", _ENDLESS]
