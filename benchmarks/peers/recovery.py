"""Measures the recovery of Faust tables."""

from typing import Any

from benchmarks.stopwatch import Stopwatch


def time_recovery(table: Any, stopwatch: Stopwatch) -> None:
    """Start the stopwatch when the partitions of the Faust table are assigned."""
    on_rebalance = table.on_rebalance

    async def timed(*arguments: Any, **more: Any) -> None:
        await on_rebalance(*arguments, **more)
        stopwatch.begin()

    table.on_rebalance = timed
