"""`headrace up` when something is in its way, and how it ends."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from infra.broker.ports import free_port
from sinks.sql.migrate import upgrade
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def _up(data_dir: Path, port: int, **settings: str) -> subprocess.CompletedProcess[str]:
    argv = ["up", "--data-dir", str(data_dir), "--port", str(port)]
    return subprocess.run(
        [sys.executable, "-m", "infra", *argv],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def _run_files(stack: Stack) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (stack.data_dir / "run").glob("*.pid")}


def test_a_second_up_in_one_directory_is_refused_and_changes_nothing(
    make_stack: MakeStack,
) -> None:
    """On another port, and on the same; roles stay heard throughout."""
    stack = make_stack({})
    before = _run_files(stack)
    for port in (free_port(), stack.port):
        told = _up(stack.data_dir, port)
        assert told.returncode == 1
        assert f"headrace already runs in {stack.data_dir} at {stack.url}" in told.stderr
        assert "Traceback" not in told.stderr
        for role in ("streams", "live", "sinks"):
            assert (stack.data_dir / "run" / f"{role}.json").exists()
    assert _run_files(stack) == before
    assert "ready" in stack.why_not_ready


def test_the_second_start_is_brief_and_a_killed_run_leaves_nothing_in_its_way(
    make_stack: MakeStack,
) -> None:
    """What to try is shown once; the page's address is the last line of each."""
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


def test_a_role_that_fails_at_the_start_gets_a_cross_and_its_last_words(tmp_path: Path) -> None:
    """Of this run: what its log holds of another one is not shown."""
    data_dir = tmp_path / "data"
    (data_dir / "logs").mkdir(parents=True)
    (data_dir / "logs" / "sinks.log").write_text("an old failure\n")
    _database_of_another_cluster(data_dir / "headrace.db")
    told = _up(data_dir, free_port())

    assert told.returncode == 1
    assert "✗ sinks     exited during startup (exit code 1)" in told.stdout
    assert "✓ sinks" not in told.stdout
    assert "sinks exited during startup (exit code 1): sinks: The database" in told.stderr
    assert f"Its log is {data_dir / 'logs' / 'sinks.log'}" in told.stderr
    assert "an old failure" not in told.stdout + told.stderr
    assert "Traceback" not in told.stdout + told.stderr


def _database_of_another_cluster(path: Path) -> None:
    """Make a database that only `sinks` finds out not to be of this Kafka."""
    upgrade(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        columns = "app, topic, partition, next_offset, cluster_id, updated_at"
        values = "'headrace-sinks', 'events-raw', ?, 7, 'another', '2026-01-31T12:00:00.000000Z'"
        connection.executemany(
            f"INSERT INTO consumer_offsets ({columns}) VALUES ({values})",  # noqa: S608
            [(partition,) for partition in range(4)],
        )


def test_a_port_that_is_taken_is_a_sentence_and_starts_nothing(tmp_path: Path) -> None:
    """With who has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = _up(tmp_path / "data", taken.getsockname()[1])

    assert told.returncode == 1
    assert "✓" not in told.stdout
    assert "the port is in use by" in told.stderr
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
def test_an_end_during_the_start_is_in_order(
    tmp_path: Path, numbers: tuple[signal.Signals, ...], code: int, step: str
) -> None:
    """Whatever was started is ended, without a traceback."""
    stack = Stack(tmp_path / "data")
    out = tmp_path / "screen"
    argv = ["up", "--data-dir", str(stack.data_dir), "--port", str(free_port())]
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", *argv], stdout=file, stderr=subprocess.STDOUT
        )
    eventually(lambda: step in out.read_text(), within_seconds=60, what=f"the step {step}")
    eventually((stack.data_dir / "run" / "up.lock").exists, within_seconds=30, what="up")
    for number in numbers:
        process.send_signal(number)

    assert process.wait(60) == code, out.read_text()
    assert "Traceback" not in out.read_text()
    eventually(lambda: stack.processes() == [], within_seconds=15, what="no process is left")
