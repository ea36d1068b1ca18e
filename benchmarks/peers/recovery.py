"""When the recovery of a table begins."""

from typing import Any

from benchmarks.stopwatch import Stopwatch


def time_recovery(table: Any, stopwatch: Stopwatch) -> None:
    """Have the stopwatch begin when the Faust table has been given its partitions."""
    on_rebalance = table.on_rebalance

    async def timed(*arguments: Any, **more: Any) -> None:
        await on_rebalance(*arguments, **more)
        stopwatch.begin()

    table.on_rebalance = timed
