"""`headrace kafka` in a terminal: it starts, says what to do, and ends in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.process import is_alive, read_pid
from tests.integration.infra.conftest import Start

_HEADRACE = str(Path(sys.executable).with_name("headrace"))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_when_it_is_told_to(
    tmp_path: Path, end: signal.Signals, start: Start
) -> None:
    """Ctrl-C goes to the whole process group, and still reaches only the command, not the JVM."""
    command = start(
        *("kafka", "--data-dir", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert command.stdout is not None
    said = command.stdout.readline() + command.stdout.readline() + command.stdout.readline()
    pid = read_pid(tmp_path / "run" / "kafka.pid")
    address = (tmp_path / "run" / "kafka.address").read_text().strip()
    os.killpg(command.pid, end)
    last, errors = command.communicate(timeout=30)

    assert said.startswith(f"Kafka is ready at {address}")
    assert f"HEADRACE_KAFKA__BOOTSTRAP_SERVERS={address}" in said
    assert last.endswith("The broker has ended.\n")
    assert (command.returncode, errors) == (0, "")
    assert pid is not None
    assert not is_alive(pid)
    assert not list((tmp_path / "run").glob("kafka.[ap]*"))
    # A broker that was killed leaves no such file, and reads its logs again at the next start.
    assert (tmp_path / "kafka" / "data" / ".kafka_cleanshutdown").exists()


def test_any_directory_will_do_and_only_its_owner_can_read_it(tmp_path: Path, start: Start) -> None:
    """Whatever its name, the locale and the umask, and whatever an earlier version left there."""
    data_dir = tmp_path / "a b%20c#d?e:f,g=h\\i'\"ü"
    (data_dir / "logs").mkdir(parents=True)
    (data_dir / "logs").chmod(0o755)
    (data_dir / "logs" / "web.log").touch()
    (data_dir / "logs" / "web.log").chmod(0o644)
    command = start(
        *("kafka", "--data-dir", str(data_dir)),
        stdout=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        text=True,
        umask=0,
    )
    assert command.stdout is not None
    assert command.stdout.readline().startswith("Kafka is ready")
    files = [data_dir / name for name in ("kafka", "logs", "run")]
    files += [file for folder in files for file in folder.rglob("*")]
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=30)

    assert (data_dir / "kafka" / "data" / "meta.properties") in files
    assert [file for file in files if file.exists() and file.stat().st_mode & 0o077] == []


def test_a_users_error_is_a_sentence(tmp_path: Path) -> None:
    """Exit code 1, and no traceback."""
    (tmp_path / "file").touch()
    command = subprocess.run(
        [_HEADRACE, "kafka", "--data-dir", str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (command.returncode, command.stdout) == (1, "")
    assert command.stderr.startswith(str(tmp_path / "file"))
    assert "Traceback" not in command.stderr
