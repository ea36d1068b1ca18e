"""Errors of commands that cannot listen on their address."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from producer_api.http.listen import listen


@pytest.mark.parametrize(
    ("command", "host"), [("api", "nonsense.invalid"), ("query", "127.0.0.1:8080"), ("up", "")]
)
def test_an_invalid_host_is_reported(command: str, host: str, tmp_path: Path) -> None:
    """Without a traceback, before any process is started; with the setting or the option.

    `tests/unit/producer_api/test_listen.py` has the other hosts.
    """
    result = _run(command, tmp_path, HEADRACE_API__HOST=host)

    choice = "--host and --port" if command == "up" else "HEADRACE_API__HOST and HEADRACE_API__PORT"
    assert result.returncode == 1
    assert result.stderr.startswith(f"Cannot listen on host {host!r}, port 8080: ")
    assert result.stderr.endswith(f". Choose another with {choice}\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "query", "up"])
def test_the_owner_of_the_port_is_named(command: str, tmp_path: Path) -> None:
    """With its process id."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        result = _run(command, tmp_path, HEADRACE_API__PORT=str(port))

    assert result.returncode == 1
    assert f"port {port}: the port is in use by " in result.stderr
    assert f"(process {os.getpid()})" in result.stderr


def _run(command: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", command],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
