"""Writes results to docs/benchmarks/NAME.json, and docs/benchmarks.md with charts."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import chart

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "benchmarks"

_INTRODUCTION = """\
# Benchmarks

`make bench` runs all benchmarks and writes this page; `make bench-NAME` runs one of them. Each
section names its commit and machine. Figures are medians over the rounds, with minimum and maximum;
the candidates run in shuffled order. Absolute figures depend on the machine and its other load, so
compare candidates of the same run: the third column is the CPU time relative to the first
candidate's in the same round. CPU time is that of all processes of a candidate, without the load
generator, Kafka and PostgreSQL. The start benchmark has no peers and counts all processes, as does
the comparison with whole products.
"""


def environment() -> dict[str, Any]:
    """Return the commit, time and machine of the results."""
    return {
        "commit": _commit(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 1),
        },
    }


def save(name: str, results: Mapping[str, Any]) -> None:
    """Write the results of one benchmark."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")


def write(names: Iterable[str]) -> None:
    """Write the page and the charts from all saved results."""
    parts = [_INTRODUCTION]
    for name in names:
        file = FOLDER / f"{name}.json"
        if file.exists():
            results = json.loads(file.read_bytes())
            (FOLDER / f"{name}.svg").write_text(chart.render(results["workloads"]))
            parts.append(_section(name, results))
    (DOCS / "benchmarks.md").write_text("\n".join(parts))


def table(results: Mapping[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    lines = []
    for workload in results["workloads"]:
        heads = workload["candidates"][0]["figures"]
        lines += [f"| {' | '.join((workload['title'], *heads))} |", f"|{'---|' * (1 + len(heads))}"]
        for candidate in workload["candidates"]:
            cells = list(map(_spread, candidate.get("figures", {}).values()))
            if "unavailable" in candidate:
                cells = [f"unavailable: {candidate['unavailable']}", *[""] * (len(heads) - 1)]
            lines.append(f"| {' | '.join((candidate['name'], *cells))} |")
        lines.append("")
    return "\n".join(lines)


def _spread(figure: Mapping[str, float]) -> str:
    median, low, high = (chart.short(figure[key]) for key in ("median", "low", "high"))
    return f"{median} ({low}–{high})"  # noqa: RUF001


def _section(name: str, results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    return (
        f"## {results['title']}\n\n"
        f"`make bench-{name}`, {results['rounds']} rounds in {results['took_s']} s, "
        f"commit `{results['commit']}`, {results['at']}; "
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, "
        f"load {machine['load_before']} before.\n\n"
        f"![{results['title']}](benchmarks/{name}.svg)\n\n{table(results)}"
    )


def _commit() -> str:
    """Return the commit; `-dirty` if files other than results differ from it."""
    commit = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    others = (".", ":(exclude)docs/benchmarks*")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *others)
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    command = ("git", "-C", str(DOCS.parent), *arguments)
    completed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return completed.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")
