"""`python -m benchmarks [NAME ...]`: run benchmarks and write their results."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module

from benchmarks import report
from benchmarks.measure import measure

#: In the order of execution and of the report.
NAMES = (
    *("codec", "derive", "rules", "state", "http", "engine", "agents"),
    *("sinks", "live", "whole", "peers", "scale", "start"),
)
#: `benchmarks.peers` has the code of the peers.
_MODULES = {"peers": "products"}


async def _run(name: str, rounds: int) -> list[str]:
    """Run a benchmark and save its results; return the names of failed candidates."""
    bench = import_module(f"benchmarks.{_MODULES.get(name, name)}")
    print(f"{name}: {bench.TITLE}", flush=True)
    started_at, environment = time.perf_counter(), report.environment()
    async with bench.workloads() as workloads:
        measured = [await measure(workload, rounds) for workload in workloads]
    took_s = round(time.perf_counter() - started_at)
    results = {"title": bench.TITLE, "rounds": rounds, "took_s": took_s, "workloads": measured}
    results |= environment
    report.save(name, results)
    print(report.table(results), flush=True)
    failed = [
        candidate["name"]
        for workload in measured
        for candidate in workload["candidates"]
        if candidate.get("failed")
    ]
    return sorted({f"{name} ({candidate})" for candidate in failed})


def _run_all(names: Sequence[str], rounds: int) -> list[str]:
    """Run benchmarks in sequence and print their durations; return the names of failed ones."""
    summary, failed = [], []
    for name in names:
        started_at = time.perf_counter()
        try:
            failed += asyncio.run(_run(name, rounds))
        except Exception:  # noqa: BLE001 - continue with the others
            traceback.print_exc()
            failed.append(name)
        report.write(NAMES)
        outcome = "failed after" if name in failed else "took"
        summary.append(f"{name} {outcome} {time.perf_counter() - started_at:.0f} s")
    print("\n".join(summary), flush=True)
    return failed


def main() -> None:
    """Run the benchmarks given as arguments, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each workload (3)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; benchmarks: {', '.join(NAMES)}")
    gc.set_threshold(50_000, 20, 100)  # as `python -m headrace` does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # runs `finally` blocks
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics are recreated often
    if failed := _run_all(arguments.names or NAMES, arguments.rounds):
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
