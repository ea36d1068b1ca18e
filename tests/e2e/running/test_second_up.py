"""`headrace up` in the data directory of a running stack."""

import subprocess
import sys

import pytest

from headrace.local.broker.ports import free_port
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(240)


def _up(stack: Stack, port: int) -> subprocess.CompletedProcess[str]:
    argv = ["up", "--data-dir", str(stack.data_dir), "--port", str(port)]
    return subprocess.run(
        [sys.executable, "-m", "headrace", *argv], capture_output=True, text=True, check=False
    )


def _run_files(stack: Stack) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (stack.data_dir / "run").glob("*.pid")}


def test_a_second_up_in_a_data_directory_fails_without_effect(stack: Stack) -> None:
    """On another port, and on the same; the roles keep running."""
    before = _run_files(stack)
    for port in (free_port(), stack.port):
        result = _up(stack, port)
        assert result.returncode == 1
        assert f"headrace already runs in {stack.data_dir} at {stack.url}" in result.stderr
        assert "Traceback" not in result.stderr
        for role in ("streams", "live", "sinks"):
            assert (stack.data_dir / "run" / f"{role}.json").exists()
    assert _run_files(stack) == before
    assert "ready" in stack.why_not_ready
