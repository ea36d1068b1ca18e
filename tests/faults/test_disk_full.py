"""The disk of the data directory is full, for broker, database, logs and run files."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.operating import status
from tests.e2e.stack import Stack
from tests.faults.disk import Disk, mounted
from tests.faults.scenario import MakeScenario, sleep, why_not_ready
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a disk at the data directory of the test's first stack."""
    with mounted(tmp_path / "data-0", megabytes=192) as disk:
        yield disk


def test_the_disk_is_full_for_30_seconds_and_a_role_is_killed(
    disk: Disk, make_scenario: MakeScenario
) -> None:
    """`up` keeps running and reports it, and every event with a 202 is stored afterwards."""
    scenario = make_scenario({})
    stack = scenario.stack
    with scenario.load():
        for role in (None, "streams", "sinks"):
            disk.fill()
            _until_reported(stack)
            if role is not None:
                stack.send(role, signal.SIGKILL)
            sleep(30 if role is None else 8)
            assert "disk full at" in stack.screen
            disk.free()
            scenario.recover()
    scenario.check()
    assert why_not_ready(stack) == ""
    assert _audit(stack) == 0


def test_the_status_says_that_the_disk_is_full(disk: Disk, make_stack: MakeStack) -> None:
    """It is the first problem, because it causes the others."""
    stack = make_stack({})
    disk.fill()
    _until_reported(stack)
    (code, report) = status(stack)

    assert code == 1
    assert report["problems"][0]["what"] == f"disk full at {disk.path}"
    assert "headrace continues by itself" in report["problems"][0]["do"]
    disk.free()
    eventually(lambda: why_not_ready(stack) == "", within_seconds=90, what="it is ready again")


@pytest.mark.parametrize("was_used", [False, True])
def test_the_disk_is_full_at_the_start(
    disk: Disk, make_stack: MakeStack, tmp_path: Path, was_used: bool
) -> None:
    """With an empty data directory and a used one: it waits, and starts once there is space."""
    if was_used:
        stack = make_stack({})
        stack.stop()
    disk.fill()
    stack = Stack(tmp_path / "data-0")

    def free_once_reported() -> None:
        eventually(
            lambda: "disk full at" in stack.screen, within_seconds=60, what="the screen says so"
        )
        sleep(5)
        disk.free()

    freeing = threading.Timer(2, free_once_reported)
    freeing.start()
    try:
        stack.start()
        freeing.join()
        accepted = stack.post({"type": "pageview", "site_id": "a", "session_id": "s"})
        assert accepted[0] == 202
        eventually(
            lambda: stack.rows("SELECT count(*) AS n FROM sessions") == [{"n": 1}],
            within_seconds=60,
            what="its session is stored",
        )
        assert stack.stop() == 0
    finally:
        stack.end()


def _until_reported(stack: Stack) -> None:
    eventually(
        lambda: "disk full at" in why_not_ready(stack),
        within_seconds=60,
        what="/readyz reports the full disk",
    )


def _audit(stack: Stack) -> int:
    argv = ["audit", "--data-dir", str(stack.data_dir)]
    environment = {**os.environ, **stack.settings}
    argv = [sys.executable, "-m", "headrace", *argv]
    return subprocess.run(argv, env=environment, check=False).returncode
