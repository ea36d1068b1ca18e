"""Failures at the start of `headrace up`, and how it stops."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.local.broker.ports import free_port
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.migrated import create_migrated
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def _up(data_dir: Path, port: int, **settings: str) -> subprocess.CompletedProcess[str]:
    argv = ["up", "--data-dir", str(data_dir), "--port", str(port)]
    return subprocess.run(
        [sys.executable, "-m", "headrace", *argv],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_second_start_prints_no_introduction_even_after_a_crash(
    make_stack: MakeStack,
) -> None:
    """The first start prints examples; both end with the page's address."""
    stack = make_stack({})
    first = stack.screen.splitlines()
    stack.crash()
    stack.start()
    second = stack.screen.splitlines()

    assert any("curl" in line for line in first)
    assert not any("curl" in line for line in second)
    assert first[-1] == second[-1]
    assert second[-1].startswith(f"{stack.url}/?access_token=hr_")
    assert "\x1b" not in stack.screen


def test_a_role_that_fails_at_the_start_is_reported_with_its_error(tmp_path: Path) -> None:
    """Errors of earlier runs in its log are not shown."""
    data_dir = tmp_path / "data"
    (data_dir / "logs").mkdir(parents=True)
    (data_dir / "logs" / "sinks.log").write_text("an old failure\n")
    _database_of_another_cluster(data_dir / "headrace.db")
    result = _up(data_dir, free_port())

    assert result.returncode == 1
    assert "✗ sinks     exited during startup (exit code 1)" in result.stdout
    assert "✓ sinks" not in result.stdout
    assert "sinks exited during startup (exit code 1): sinks: The database" in result.stderr
    assert f"Its log is {data_dir / 'logs' / 'sinks.log'}" in result.stderr
    assert "an old failure" not in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def _database_of_another_cluster(path: Path) -> None:
    """Create a database of another Kafka cluster, which only `sinks` detects."""
    create_migrated(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        columns = "app, topic, partition, next_offset, cluster_id, updated_at"
        values = "'headrace-sinks', 'events-raw', ?, 7, 'another', '2026-01-31T12:00:00.000000Z'"
        connection.executemany(
            f"INSERT INTO consumer_offsets ({columns}) VALUES ({values})",  # noqa: S608
            [(partition,) for partition in range(4)],
        )


def test_a_port_in_use_is_an_error_and_nothing_is_started(tmp_path: Path) -> None:
    """The error names the process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = _up(tmp_path / "data", taken.getsockname()[1])

    assert result.returncode == 1
    assert "✓" not in result.stdout
    assert "the port is in use by" in result.stderr
    assert not (tmp_path / "data" / "run" / "kafka.pid").exists()


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ((signal.SIGINT,), 130),
        ((signal.SIGTERM,), 0),
        ((signal.SIGHUP,), 0),
        ((signal.SIGINT, signal.SIGINT), 130),
    ],
)
@pytest.mark.parametrize("step", ["headrace", pytest.param("Topics", marks=pytest.mark.slow)])
def test_a_stop_during_the_start_is_graceful(
    tmp_path: Path, numbers: tuple[signal.Signals, ...], code: int, step: str
) -> None:
    """All started processes are stopped, without a traceback."""
    stack = Stack(tmp_path / "data")
    out = tmp_path / "screen"
    argv = ["up", "--data-dir", str(stack.data_dir), "--port", str(free_port())]
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace", *argv], stdout=file, stderr=subprocess.STDOUT
        )
    eventually(lambda: step in out.read_text(), within_seconds=60, what=f"the step {step}")
    eventually((stack.data_dir / "run" / "up.lock").exists, within_seconds=30, what="up")
    for number in numbers:
        process.send_signal(number)

    assert process.wait(60) == code, out.read_text()
    assert "Traceback" not in out.read_text()
    eventually(lambda: stack.processes() == [], within_seconds=15, what="no process is left")
