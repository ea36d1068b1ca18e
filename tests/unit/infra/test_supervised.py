"""How a supervised process is ended, and what is told of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.supervised import Supervised
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


def test_a_child_has_an_id_while_it_runs(tmp_path: Path) -> None:
    """What was found to have ended has none: whoever waits for its end would wait for nothing."""
    child = _a_child(tmp_path, "")
    assert child.pid == int((tmp_path / "role.pid").read_text())

    child.kill()
    eventually(lambda: child.has_ended, within_seconds=20, what="it has ended")
    assert "starting it again" in str(child.check())
    assert child.pid is None
