"""Runs a candidate as a process that measures itself and prints a line of JSON."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Measurement, PeerUnavailable

ROOT = Path(__file__).parents[1]
_SECONDS = 90

#: The command of a candidate, or why it is unavailable.
Command = Sequence[str] | PeerUnavailable


def prepared_command(prepare: Callable[[], Sequence[str]]) -> Command:
    """Return the command from `prepare`, or the `PeerUnavailable` that it raised."""
    try:
        return prepare()
    except PeerUnavailable as error:
        return error


def python_commands(module: str) -> dict[str, Sequence[str]]:
    """Return the commands that run a peer module: here and, if it is given, in another clone.

    `BENCH_CLONE` is the path of a clone of another commit in which `make setup` was run.
    """
    commands: dict[str, Sequence[str]] = {"headrace": [sys.executable, "-m", module]}
    if clone := os.environ.get("BENCH_CLONE"):
        path = Path(clone).resolve()
        python = [str(path / ".venv/bin/python"), "-m", module]
        commands["headrace, the other clone"] = [
            "env",
            "-C",
            str(path),
            f"PYTHONPATH={path}",
            *python,
        ]
    return commands


async def run_candidate(command: Sequence[str]) -> Measurement:
    """Run a command and return the measurement that it prints; see `stopwatch`."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    timer = asyncio.get_running_loop().call_later(_SECONDS, process.kill)
    out, errors = await process.communicate()
    timer.cancel()
    for line in out.decode().splitlines():
        if line.startswith("{"):
            return Measurement(**json.loads(line))
    stderr = errors.decode(errors="replace")[-2_000:]
    raise RuntimeError(f"{' '.join(command)} printed no result within {_SECONDS} s:\n{stderr}")
