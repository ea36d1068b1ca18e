"""How a supervised process is ended, and what is told of it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import supervised
from infra.process import read_pid
from infra.supervised import SILENCE_SECONDS, Supervised
from tests.fixtures.waiting import eventually

_CHILD = """
import os, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("up", flush=True)
while not told:
    signal.pause()
{then}
"""


def _a_child(folder: Path, then: str) -> Supervised:
    log = folder / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen([sys.executable, "-c", _CHILD.format(then=then)], stdout=out)

    child = Supervised("role", start, folder / "role.pid")
    child.start()
    eventually(lambda: "up" in log.read_text(), within_seconds=20, what="the child runs")
    return child


@pytest.mark.parametrize(("then", "told"), [("", "ended"), ("sys.exit(3)", "ended (exit code 3)")])
def test_a_child_that_ends_says_how(tmp_path: Path, then: str, told: str) -> None:
    """And its pid file goes with it."""
    child = _a_child(tmp_path, then)

    assert child.stop(20) == told
    assert not (tmp_path / "role.pid").exists()
    assert child.stop(20) == "ended"


def test_a_child_that_does_not_end_in_its_grace_is_killed(tmp_path: Path) -> None:
    """And that is said."""
    child = _a_child(tmp_path, "while True: signal.pause()")

    assert child.stop(0.1) == "killed after 0 s"


def test_a_child_that_was_told_is_not_told_again(tmp_path: Path) -> None:
    """To a role a second TERM means: at once, with what is under way left undone."""
    go_on = tmp_path / "go on"
    waiting = f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    child = _a_child(tmp_path, f"{waiting}\nsys.exit(len(told) - 1)")
    child.tell_to_end()
    child.tell_to_end()
    go_on.touch()

    assert child.stop(20) == "ended"


def test_a_child_has_a_pid_file_while_it_runs(tmp_path: Path) -> None:
    """What was found to have ended has none."""
    child = _a_child(tmp_path, "")
    assert read_pid(tmp_path / "role.pid") is not None

    child.kill()
    eventually(lambda: child.has_ended, within_seconds=20, what="it has ended")
    assert "starting it again" in str(child.check())
    assert not (tmp_path / "role.pid").exists()


def test_a_start_that_fails_is_tried_again_and_is_news_once(tmp_path: Path) -> None:
    """As on a full disk; on hold nothing is started."""
    failures = [OSError(28, "No space left on device"), OSError(28, "No space left on device")]

    def start() -> subprocess.Popen[bytes]:
        if started and failures:
            raise failures.pop()
        started.append(1)
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    started: list[int] = []
    child = Supervised("role", start, tmp_path / "role.pid")
    child.start()
    child.kill()
    eventually(lambda: child.has_ended, within_seconds=20, what="it has ended")
    assert child.how_ended == "signal 9"
    news = [child.check()]
    assert child.check(hold=True) is None

    def is_up() -> bool:
        news.append(child.check())
        return not child.has_ended

    eventually(is_up, within_seconds=20, what="it is started again")
    assert [said for said in news if said] == [
        "role ended (signal 9); starting it again in 0.5 s",
        "role is not started: [Errno 28] No space left on device",
        "role is started again",
    ]
    child.stop(20)


def test_a_pid_file_that_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    """The process runs all the same."""
    folder = tmp_path / "run"
    folder.write_text("in the way")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    child = Supervised("role", start, folder / "role.pid")
    child.start()
    assert child.check() is None
    folder.unlink()
    assert child.check() is None
    assert read_pid(folder / "role.pid") is not None
    child.kill()
    child.stop(20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give a clock that is set by hand."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(supervised, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def _never(folder: Path) -> Supervised:
    def start() -> subprocess.Popen[bytes]:
        raise AssertionError

    return Supervised("role", start, folder / "role.pid")


def test_a_child_that_fell_silent_is_noticed_once_the_limit_is_over(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    """And only once: it is started again."""
    child = _never(tmp_path)
    assert not child.is_silent(is_heard=True)
    clock.now = SILENCE_SECONDS
    assert not child.is_silent(is_heard=False)
    clock.now += 1

    assert child.is_silent(is_heard=False)
    assert not child.is_silent(is_heard=False)


def test_a_child_that_answers_in_between_is_well(tmp_path: Path, clock: SimpleNamespace) -> None:
    """Silence counts from the last answer."""
    child = _never(tmp_path)
    child.is_silent(is_heard=True)
    clock.now = SILENCE_SECONDS
    child.is_silent(is_heard=True)
    clock.now += SILENCE_SECONDS

    assert not child.is_silent(is_heard=False)


def test_a_child_that_starts_may_take_its_time(tmp_path: Path, clock: SimpleNamespace) -> None:
    """Its database may be away, or its migration long."""
    child = _never(tmp_path)
    child.is_silent(is_heard=False)
    clock.now = 100 * SILENCE_SECONDS

    assert not child.is_silent(is_heard=False)
