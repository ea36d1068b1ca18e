"""The figures of the scenarios, printed as a table at the end of the run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psutil

from tests.e2e.stack import Stack
from tests.faults.kafka_log import KafkaLog

#: The user property of a test report that has its row.
PROPERTY = "figures"
ROLES = ("web", "streams", "live", "sinks")


class Figures(NamedTuple):
    """The figures of one scenario; `recoveries` are seconds from a fault to a new result."""

    scenario: str
    events: int
    recoveries: Sequence[float]
    routed_again: int
    dead_letters: int
    rss_mb: str

    def line(self) -> str:
        """Return the row of docs/reliability.md."""
        seconds = sorted(self.recoveries)
        recovery = f"{seconds[len(seconds) // 2]:.1f} / {seconds[-1]:.1f}" if seconds else "-"
        return (
            f"| {self.scenario} | {self.events:,} | {recovery} | {self.routed_again:,} | "
            f"{self.dead_letters:,} | {self.rss_mb} |"
        )


HEAD = (
    "| scenario | events stored | recovery s, median / longest | routed again | dead letters | "
    "MB of web / streams / live / sinks |\n|---|---|---|---|---|---|"
)


def figures(
    scenario: str, stack: Stack, log: KafkaLog, recoveries: Sequence[float] = ()
) -> Figures:
    """Return the figures at the end of a scenario."""
    [stored] = stack.rows("SELECT count(*) AS n FROM events")
    return Figures(
        scenario,
        stored["n"],
        recoveries,
        log.routed_again,
        len(log.dead_letters),
        " / ".join(_megabytes(stack, role) for role in ROLES),
    )


def _megabytes(stack: Stack, role: str) -> str:
    pid = stack.pid(role)
    if pid is None or not psutil.pid_exists(pid):
        return "-"
    return f"{psutil.Process(pid).memory_info().rss / 1e6:.0f}"


def show(terminal: Any) -> None:
    """Print the table from the reports of all processes."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminal.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    lines = [dict(report.user_properties).get(PROPERTY) for report in reports]
    if rows := [line for line in lines if line is not None]:
        terminal.section("fault scenarios")
        for line in (HEAD, *sorted(rows)):
            terminal.write_line(line)
