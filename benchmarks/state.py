"""`sessionize` with 10,000, 100,000 and 1,000,000 live sessions."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.measure import Candidate, Measurement, Workload
from benchmarks.process import run_candidate

TITLE = "State: events of many live sessions"
_SIZES = (10_000, 100_000, 1_000_000)


def _candidate(sessions: int) -> Candidate:
    async def run() -> Measurement:
        return await run_candidate(
            (sys.executable, "-m", "benchmarks.live_sessions", str(sessions))
        )

    return Candidate(f"{sessions:,} sessions", run)


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark; each run is a new process."""
    yield [Workload("sessionize", [_candidate(sessions) for sessions in _SIZES], warms_up=False)]
