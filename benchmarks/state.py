"""`sessionize` with ten thousand, a hundred thousand and a million living sessions."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.measure import Candidate, Spent, Work
from benchmarks.process import told_by

TITLE = "State: an event of one of so many living sessions"
_SIZES = (10_000, 100_000, 1_000_000)


def _candidate(sessions: int) -> Candidate:
    async def run() -> Spent:
        return await told_by((sys.executable, "-m", "benchmarks.living", str(sessions)))

    return Candidate(f"{sessions:,} sessions", run)


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark: each run is a new process, and all its memory its own."""
    yield [Work("sessionize", [_candidate(sessions) for sessions in _SIZES], warms_up=False)]
