"""`headrace kafka`: start, output and graceful shutdown."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.local.process import is_alive, read_pid
from tests.integration.headrace.conftest import Start

_HEADRACE = str(Path(sys.executable).with_name("headrace"))


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "data"), (signal.SIGTERM, "a b%20c#d?e:f,g=h\\i'\"ü")]
)
def test_a_signal_stops_the_broker_gracefully(
    tmp_path: Path, number: signal.Signals, name: str, start: Start
) -> None:
    """The terminal sends SIGINT to the process group, which does not include the JVM.

    A data directory may have any name, in any locale. Only its owner can read its files, whatever
    the umask.
    """
    data_dir = tmp_path / name
    (data_dir / "logs").mkdir(parents=True)
    (data_dir / "logs").chmod(0o755)
    (data_dir / "logs" / "web.log").touch()
    (data_dir / "logs" / "web.log").chmod(0o644)
    command = start(
        *("kafka", "--data-dir", str(data_dir)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        text=True,
        start_new_session=True,
        umask=0,
    )
    assert command.stdout is not None
    said = command.stdout.readline() + command.stdout.readline() + command.stdout.readline()
    pid = read_pid(data_dir / "run" / "kafka.pid")
    address = (data_dir / "run" / "kafka.address").read_text().strip()
    files = [data_dir / name for name in ("kafka", "logs", "run")]
    files += [file for folder in files for file in folder.rglob("*")]
    os.killpg(command.pid, number)
    last, errors = command.communicate(timeout=30)

    assert said.startswith(f"Kafka is ready at {address}")
    assert f"HEADRACE_KAFKA__BOOTSTRAP_SERVERS={address}" in said
    assert last.endswith("The broker has stopped.\n")
    assert (command.returncode, errors) == (0, "")
    assert pid is not None
    assert not is_alive(pid)
    assert not list((data_dir / "run").glob("kafka.[ap]*"))
    # Without this file, the next start would recover all logs.
    assert (data_dir / "kafka" / "data" / ".kafka_cleanshutdown").exists()
    assert (data_dir / "kafka" / "data" / "meta.properties") in files
    assert [file for file in files if file.exists() and file.stat().st_mode & 0o077] == []


def test_a_user_error_is_printed_without_a_traceback(tmp_path: Path) -> None:
    """The exit code is 1."""
    (tmp_path / "file").touch()
    command = subprocess.run(
        [_HEADRACE, "kafka", "--data-dir", str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (command.returncode, command.stdout) == (1, "")
    assert command.stderr.startswith(f"The broker cannot use {tmp_path / 'file'}")
    assert "Traceback" not in command.stderr
