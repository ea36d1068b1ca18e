"""Runs a candidate as a process that measures itself and prints a line of JSON."""

import asyncio
import json
import os
import subprocess
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
