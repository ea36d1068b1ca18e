"""A candidate that is a process of its own: it measures itself and tells one line of JSON."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Absent, Spent

ROOT = Path(__file__).parents[1]
_SECONDS = 90

#: What starts a candidate, or why there is nothing that does.
Command = Sequence[str] | Absent


def command_of(prepare: Callable[[], Sequence[str]]) -> Command:
    """Return the command that `prepare` makes; why not, where it finds that its peer is absent."""
    try:
        return prepare()
    except Absent as why:
        return why


async def told_by(command: Sequence[str]) -> Spent:
    """Run a command to its end and return what it told of itself; see `stopwatch`."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ending = asyncio.get_running_loop().call_later(_SECONDS, process.kill)
    out, errors = await process.communicate()
    ending.cancel()
    for line in out.decode().splitlines():
        if line.startswith("{"):
            return Spent(**json.loads(line))
    said = errors.decode(errors="replace")[-2_000:]
    raise RuntimeError(f"{' '.join(command)} told nothing within {_SECONDS} s:\n{said}")
