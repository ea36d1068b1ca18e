"""What was found: docs/benchmarks/NAME.json, and docs/benchmarks.md with a chart of each."""

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

Written by `make bench`; `make bench-NAME` runs one of them. Each figure belongs to the commit
and the machine beside it. Candidates alternate, in shuffled order; figures are medians of the
rounds, with the lowest and the highest. Machines differ, and do other things meanwhile, so what
counts is how the candidates of one run compare: the third figure is their CPU time as a multiple
of the first one's, round by round. CPU time is that of all processes of a candidate, but
neither of what sends the load nor of Kafka and PostgreSQL. The start alone has no peer, and tells
of all processes.
"""


def circumstances() -> dict[str, Any]:
    """Return what the figures belong to."""
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


def save(name: str, found: Mapping[str, Any]) -> None:
    """Write what one benchmark found."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def write(names: Iterable[str]) -> None:
    """Write the document and the charts anew, of all that is saved."""
    parts = [_INTRODUCTION]
    for name in names:
        file = FOLDER / f"{name}.json"
        if file.exists():
            found = json.loads(file.read_bytes())
            (FOLDER / f"{name}.svg").write_text(chart.drawn(found["works"]))
            parts.append(_section(name, found))
    (DOCS / "benchmarks.md").write_text("\n".join(parts))


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    lines = []
    for work in found["works"]:
        heads = work["candidates"][0]["figures"]
        lines += [f"| {' | '.join((work['title'], *heads))} |", f"|{'---|' * (1 + len(heads))}"]
        for candidate in work["candidates"]:
            told = list(map(_spread, candidate.get("figures", {}).values()))
            if "absent" in candidate:
                told = [f"absent: {candidate['absent']}", *[""] * (len(heads) - 1)]
            lines.append(f"| {' | '.join((candidate['name'], *told))} |")
        lines.append("")
    return "\n".join(lines)


def _spread(figure: Mapping[str, float]) -> str:
    return f"{_short(figure['median'])} ({_short(figure['low'])}–{_short(figure['high'])})"  # noqa: RUF001


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _section(name: str, found: Mapping[str, Any]) -> str:
    machine = found["machine"]
    return (
        f"## {found['title']}\n\n"
        f"`make bench-{name}`, {found['rounds']} rounds in {found['took_s']} s, "
        f"commit `{found['commit']}`, {found['at']}; "
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, "
        f"load {machine['load_before']} before.\n\n"
        f"![{found['title']}](benchmarks/{name}.svg)\n\n{table(found)}"
    )


def _commit() -> str:
    """Return the commit, and whether anything but what is written here differs from it."""
    commit = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    others = (".", ":(exclude)docs/benchmarks*")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *others)
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    command = ("git", "-C", str(DOCS.parent), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")
