"""What the commands that listen say of an address where they cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from producer_api.listen import listen


@pytest.mark.parametrize("command", ["api", "query", "up"])
@pytest.mark.parametrize("host", ["nonsense.invalid", "127.0.0.1:8080", ""])
def test_a_wrong_host_is_one_sentence(command: str, host: str, tmp_path: Path) -> None:
    """Without a traceback, before anything is started; it names the setting or the option."""
    ended = _run(command, tmp_path, HEADRACE_API__HOST=host)

    choice = "--host and --port" if command == "up" else "HEADRACE_API__HOST and HEADRACE_API__PORT"
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Cannot listen on host {host!r}, port 8080: ")
    assert ended.stderr.endswith(f". Choose another with {choice}\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "query", "up"])
def test_who_has_the_port_is_named(command: str, tmp_path: Path) -> None:
    """As far as the system lets us know."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        ended = _run(command, tmp_path, HEADRACE_API__PORT=str(port))

    assert ended.returncode == 1
    assert f"port {port}: the port is in use by " in ended.stderr
    assert f"(process {os.getpid()})" in ended.stderr


def _run(command: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra", command],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
