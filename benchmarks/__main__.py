"""`python -m benchmarks [NAME ...]`: run benchmarks and write what they found."""

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

#: In the order in which they run and are told.
NAMES = (
    *("codec", "rules", "state", "http", "engine", "agents"),
    *("sinks", "live", "whole", "scale", "start"),
)


async def _run(name: str, rounds: int) -> list[str]:
    """Run a benchmark, and keep what it found; return which candidates failed."""
    bench = import_module(f"benchmarks.{name}")
    print(f"{name}: {bench.TITLE}", flush=True)
    began, around = time.perf_counter(), report.circumstances()
    async with bench.works() as works:
        measured = [await measure(work, rounds) for work in works]
    took = round(time.perf_counter() - began)
    found = {"title": bench.TITLE, "rounds": rounds, "took_s": took, "works": measured, **around}
    report.save(name, found)
    print(report.table(found), flush=True)
    candidates = [one for work in measured for one in work["candidates"]]
    return sorted({f"{name} ({one['name']})" for one in candidates if one.get("failed")})


def _run_all(names: Sequence[str], rounds: int) -> list[str]:
    """Run benchmarks one after the other, tell how long each took, and return what failed."""
    told, failed = [], []
    for name in names:
        began = time.perf_counter()
        try:
            failed += asyncio.run(_run(name, rounds))
        except Exception:  # noqa: BLE001 - the others are to be measured all the same
            traceback.print_exc()
            failed.append(name)
        report.write(NAMES)
        outcome = "failed after" if name in failed else "took"
        told.append(f"{name} {outcome} {time.perf_counter() - began:.0f} s")
    print("\n".join(told), flush=True)
    return failed


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each work (3)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    gc.set_threshold(50_000, 20, 100)  # as `python -m infra` does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # with what was started
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics are made anew all the time
    if failed := _run_all(arguments.names or NAMES, arguments.rounds):
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
