"""`python -m benchmarks [NAME ...]`: run benchmarks and write what they found."""

import argparse
import asyncio
import gc
from importlib import import_module
from typing import Any

from benchmarks import report
from benchmarks.measure import measure

#: In the order in which they run and are told.
NAMES = ("codec", "rules", "state", "http", "engine", "sinks", "live", "whole", "scale", "start")


async def _run(name: str, rounds: int) -> dict[str, Any]:
    bench = import_module(f"benchmarks.{name}")
    print(f"{name}: {bench.TITLE}", flush=True)
    async with bench.works() as works:
        found = [await measure(work, rounds) for work in works]
    return {"title": bench.TITLE, "rounds": rounds, "works": found, **report.circumstances()}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each work (3)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    gc.set_threshold(50_000, 20, 100)  # as `python -m infra` does
    for name in arguments.names or NAMES:
        found = asyncio.run(_run(name, arguments.rounds))
        report.save(name, found)
        print(report.table(found), flush=True)
    report.write(NAMES)


if __name__ == "__main__":
    main()
