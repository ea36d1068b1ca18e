"""Child processes that die with their parent, and pid files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.local import guard, process
from tests.fixtures.waiting import eventually

_ENDLESS = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
_IGNORE_TERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"
)
_STUBBORN = [sys.executable, "-c", f"{_IGNORE_TERM} signal.pause()"]
# A parent that starts the endless child, prints its process id and waits to be killed.
_PARENT = """
import signal, sys
from headrace.local import process
child = process.spawn(sys.argv[1:], log=None)
print(child.pid, flush=True)
signal.pause()
"""


def _spawn_ready(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    child = process.spawn(argv, log=log)
    eventually(lambda: "up" in log.read_text(), within_seconds=10, what="the child runs")
    return child


def test_the_output_is_appended_to_the_log(tmp_path: Path) -> None:
    """Both standard output and standard error."""
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    child = process.spawn([sys.executable, "-c", script], log=log)

    assert child.wait(10) == 0
    assert log.read_text() == "before\nout\nerr\n"


def test_the_child_is_direct_and_has_its_own_session(tmp_path: Path) -> None:
    """Its process id stays the same, and Ctrl-C does not reach it."""
    log = tmp_path / "log"
    script = "import os; print(os.getpid(), os.getppid(), os.getsid(0))"
    child = process.spawn([sys.executable, "-c", script], log=log)
    child.wait(10)

    assert log.read_text().split() == [str(child.pid), str(os.getpid()), str(child.pid)]


def test_sigterm_stops_a_child(tmp_path: Path) -> None:
    """The result is its exit code."""
    child = _spawn_ready(_ENDLESS, tmp_path / "log")

    assert process.terminate(child, 10) == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After its grace period."""
    child = _spawn_ready(_STUBBORN, tmp_path / "log")

    assert process.terminate(child, 0.05) == -signal.SIGKILL


def test_terminate_returns_the_exit_code_of_an_exited_child(tmp_path: Path) -> None:
    """It has no other effect."""
    child = process.spawn([sys.executable, "-c", "raise SystemExit(3)"], log=tmp_path / "log")
    child.wait(10)

    assert process.terminate(child, 1) == 3


def test_a_child_dies_with_a_parent_that_was_killed() -> None:
    """SIGKILL of the parent also kills the child."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, *_ENDLESS], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    eventually(lambda: not process.is_alive(child), within_seconds=15, what="the child is gone")


def test_the_guard_with_a_pipe_kills_the_program_when_the_pipe_closes() -> None:
    """Used on systems other than Linux; it works on all."""
    program = subprocess.Popen(
        [sys.executable, str(guard.__file__), "pipe", str(os.getpid()), *_ENDLESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == b"up\n"
    program.stdin.close()

    assert program.wait(10) == -signal.SIGKILL
    program.stdout.close()


def test_the_guard_does_not_start_an_orphan(tmp_path: Path) -> None:
    """The kernel sends no signal for a parent that has already exited."""
    not_the_parent = os.getppid()
    started = tmp_path / "started"
    argv = [sys.executable, "-c", f"open({str(started)!r}, 'w')"]
    orphan = subprocess.run(
        [sys.executable, str(guard.__file__), "prctl", str(not_the_parent), *argv], check=False
    )

    assert orphan.returncode == -signal.SIGKILL
    assert not started.exists()


def test_a_pid_file_holds_the_id_of_a_running_process(tmp_path: Path) -> None:
    """Its directory is created."""
    path = tmp_path / "run" / "web.pid"
    process.write_pid(path, os.getpid())

    assert process.read_pid(path) == os.getpid()
    assert [file.name for file in path.parent.iterdir()] == ["web.pid"]


@pytest.mark.parametrize("content", ["", "words", None])
def test_an_invalid_pid_file_is_ignored(tmp_path: Path, content: str | None) -> None:
    """Empty, corrupt or missing."""
    path = tmp_path / "web.pid"
    if content is not None:
        path.write_text(content)

    assert process.read_pid(path) is None


def test_the_pid_file_of_an_exited_process_is_ignored(tmp_path: Path) -> None:
    """Also while the process is a zombie."""
    path = tmp_path / "web.pid"
    child = process.spawn([sys.executable, "-c", ""], log=tmp_path / "log")
    process.write_pid(path, child.pid)

    eventually(lambda: process.read_pid(path) is None, within_seconds=10, what="it is gone")
    child.wait()
