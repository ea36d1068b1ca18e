"""SupervisedProcess processes: restart, stop and health checks."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from headrace.local.process import read_pid
from headrace.up import supervised_process
from headrace.up.supervised_process import UNRESPONSIVE_SECONDS, SupervisedProcess
from tests.fixtures.waiting import eventually

_CHILD = """
import os, signal, sys, time
signals = []
signal.signal(signal.SIGTERM, lambda *_: signals.append(1))
print("up", flush=True)
while not signals:
    signal.pause()
{then}
"""


def _a_child(folder: Path, then: str) -> SupervisedProcess:
    log = folder / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen([sys.executable, "-c", _CHILD.format(then=then)], stdout=out)

    child = SupervisedProcess("role", start, folder / "role.pid")
    child.start()
    eventually(lambda: "up" in log.read_text(), within_seconds=20, what="the child runs")
    return child


@pytest.mark.parametrize(
    ("then", "result"), [("", "stopped"), ("sys.exit(3)", "exited (exit code 3)")]
)
def test_stop_returns_how_the_process_exited(tmp_path: Path, then: str, result: str) -> None:
    """It also removes the pid file."""
    child = _a_child(tmp_path, then)

    assert child.stop(20) == result
    assert not (tmp_path / "role.pid").exists()
    assert child.stop(20) == "stopped"


def test_a_process_is_killed_after_its_grace_period(tmp_path: Path) -> None:
    """The result of `stop` says so."""
    child = _a_child(tmp_path, "while True: signal.pause()")

    assert child.stop(0.1) == "killed after 0 s"


def test_a_process_gets_sigterm_once(tmp_path: Path) -> None:
    """A role exits immediately at a second one."""
    go_on = tmp_path / "go on"
    waiting = f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    child = _a_child(tmp_path, f"{waiting}\nsys.exit(len(signals) - 1)")
    child.terminate()
    child.terminate()
    go_on.touch()

    assert child.stop(20) == "stopped"


def test_a_process_has_a_pid_file_while_it_runs(tmp_path: Path) -> None:
    """It is removed when the exit is noticed."""
    child = _a_child(tmp_path, "")
    assert read_pid(tmp_path / "role.pid") is not None

    child.kill()
    eventually(lambda: child.has_exited, within_seconds=20, what="it has exited")
    assert "restarting it" in str(child.check())
    assert not (tmp_path / "role.pid").exists()


def test_a_failed_start_is_retried_and_reported_once(tmp_path: Path) -> None:
    """As on a full disk. `can_restart=False` suspends restarts."""
    failures = [OSError(28, "No space left on device"), OSError(28, "No space left on device")]

    def start() -> subprocess.Popen[bytes]:
        if started and failures:
            raise failures.pop()
        started.append(1)
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    started: list[int] = []
    child = SupervisedProcess("role", start, tmp_path / "role.pid")
    child.start()
    child.kill()
    eventually(lambda: child.has_exited, within_seconds=20, what="it has exited")
    assert child.exit_status == "signal 9"
    changes = [child.check()]
    assert child.check(can_restart=False) is None

    def is_up() -> bool:
        changes.append(child.check())
        return not child.has_exited

    eventually(is_up, within_seconds=20, what="it is restarted")
    assert [change for change in changes if change] == [
        "role exited (signal 9); restarting it in 0.5 s",
        "role cannot be started: [Errno 28] No space left on device",
        "role restarted",
    ]
    child.stop(20)


def test_a_failed_write_of_the_pid_file_is_retried(tmp_path: Path) -> None:
    """The process runs."""
    folder = tmp_path / "run"
    folder.write_text("in the way")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    child = SupervisedProcess("role", start, folder / "role.pid")
    child.start()
    assert child.check() is None
    folder.unlink()
    assert child.check() is None
    assert read_pid(folder / "role.pid") is not None
    child.kill()
    child.stop(20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a clock that the test sets."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(supervised_process, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def _never(folder: Path) -> SupervisedProcess:
    def start() -> subprocess.Popen[bytes]:
        raise AssertionError

    return SupervisedProcess("role", start, folder / "role.pid")


def test_a_process_is_unresponsive_after_the_limit(tmp_path: Path, clock: SimpleNamespace) -> None:
    """It is reported once, because it is then restarted."""
    child = _never(tmp_path)
    assert not child.is_unresponsive(is_responding=True)
    clock.now = UNRESPONSIVE_SECONDS
    assert not child.is_unresponsive(is_responding=False)
    clock.now += 1

    assert child.is_unresponsive(is_responding=False)
    assert not child.is_unresponsive(is_responding=False)


def test_a_response_resets_the_limit(tmp_path: Path, clock: SimpleNamespace) -> None:
    """It counts from the last response."""
    child = _never(tmp_path)
    child.is_unresponsive(is_responding=True)
    clock.now = UNRESPONSIVE_SECONDS
    child.is_unresponsive(is_responding=True)
    clock.now += UNRESPONSIVE_SECONDS

    assert not child.is_unresponsive(is_responding=False)


def test_a_starting_process_is_not_unresponsive(tmp_path: Path, clock: SimpleNamespace) -> None:
    """Its database may be unavailable, or its migration slow."""
    child = _never(tmp_path)
    child.is_unresponsive(is_responding=False)
    clock.now = 100 * UNRESPONSIVE_SECONDS

    assert not child.is_unresponsive(is_responding=False)
