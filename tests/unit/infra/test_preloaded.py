"""Commands as copies of a process: to all others they are processes like any."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from infra import process
from tests.fixtures.waiting import eventually

# Something that goes on until it is told to end, and has begun when it has logged.
_ENDLESS = "live"
_BEGUN = "Kafka does not answer at 127.0.0.1:1"
# A parent that has a broker's folder, starts a command, tells its id and at last how it ended.
_PARENT = """
import os, sys, threading
from pathlib import Path
from infra import preloaded
from infra.broker.folder import BrokerFolder
log, threads, *arguments = sys.argv[1:]
env = {**os.environ, "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
BrokerFolder(Path(log).parent).lock()
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
    """Give the parent and the command that it started."""
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
def _begun(log: Path, threads: int = 0) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Give a parent and a command that goes on."""
    with _started(log, _ENDLESS, threads=threads) as (parent, child):
        eventually(
            lambda: log.exists() and _BEGUN in log.read_text(),
            within_seconds=30,
            what="the command has begun",
        )
        yield parent, child


def _told(parent: subprocess.Popen[str]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["--version"], 0, "headrace "), (["nonsense"], 2, "nonsense"), (["streams"], -9, "starting")],
)
def test_what_a_command_says_goes_to_its_log_and_its_parent_learns_how_it_ended(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    """Also when it was killed; what the log held before stays."""
    log = tmp_path / "log"
    log.write_text("before\n")
    with _started(log, *arguments) as (parent, child):
        eventually(lambda: said in log.read_text(), within_seconds=30, what="it says so")
        if code < 0:
            child.send_signal(-code)

        assert _told(parent) == str(code)
        assert log.read_text().startswith("before\n")


def test_a_command_is_a_direct_child_with_a_session_of_its_own(tmp_path: Path) -> None:
    """Ctrl-C in a terminal does not reach it, `ps` shows what it is, and no lock of ours stays."""
    with _begun(tmp_path / "log") as (parent, child):
        assert child.ppid() == parent.pid
        assert os.getsid(child.pid) == child.pid
        assert " ".join(child.cmdline()).split()[-1] == _ENDLESS
        assert not any(file.path.endswith("kafka.lock") for file in child.open_files())


def test_a_command_ends_in_order_when_it_is_told_to(tmp_path: Path) -> None:
    """By TERM, which it handles and not its parent."""
    with _begun(tmp_path / "log") as (parent, child):
        child.send_signal(signal.SIGTERM)

        assert _told(parent) == "0"
        assert "ended in order" in (tmp_path / "log").read_text()


def test_a_command_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """Even SIGKILL, of which the parent knows nothing, takes it along."""
    with _begun(tmp_path / "log") as (parent, child):
        parent.kill()
        parent.wait()

        eventually(
            lambda: not process.is_alive(child.pid), within_seconds=15, what="the command is gone"
        )


def test_beside_other_threads_a_command_is_a_program_of_its_own(tmp_path: Path) -> None:
    """A copy would have the locks that they hold, and nobody to open them."""
    with _begun(tmp_path / "log", threads=1) as (_, child):
        assert child.cmdline()[1:] == ["-m", "infra", _ENDLESS]
