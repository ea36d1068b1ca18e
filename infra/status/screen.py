"""What `headrace status` shows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infra.status.model import Flow, Role, Status
from infra.tables import visible

_RIGHT: Literal["right"] = "right"


def shown(status: Status, now: datetime) -> Iterator[RenderableType]:
    """Give the tables of a status, and what to do about what is red."""
    if status.roles:
        yield _roles(status.roles)
    if status.flows:
        yield _flows(status.flows, now)
    if status.dead_letters:
        yield _dead_letters(status)
    if status.tables:
        yield _tables(status)
    if not status.problems:
        yield Text("\nAll is well.", style="green")
    for problem in status.problems:
        yield Text.assemble("\n", ("✗ ", "red"), visible(problem.what), f"\n  → {problem.do}")


def _roles(roles: list[Role]) -> Table:
    table = Table("role", "workers", "process", "state")
    table.columns[1].justify = _RIGHT
    for role in roles:
        workers = "" if role.workers is None else str(role.workers)
        process = "" if role.process is None else str(role.process)
        is_red = role.not_ready is not None or role.workers == 0
        state = Text("not ready" if is_red else "ready", style="red" if is_red else "green")
        table.add_row(role.name, workers, process, state)
    return table


def _flows(flows: list[Flow], now: datetime) -> Table:
    table = Table("role", "topic", "lag", "done a second", "done until", "last commit")
    for column in table.columns[2:4]:
        column.justify = _RIGHT
    for flow in flows:
        lag = Text(f"{flow.lag:,}", style="red" if flow.stuck else "")
        times = (_ago(flow.done_until, now), _ago(flow.last_commit, now))
        table.add_row(flow.role, flow.topic, lag, f"{flow.rate:,.0f}", *times)
    return table


def _dead_letters(status: Status) -> Table:
    table = Table("dead letters in", "last hour", "30 days, replayed ones too")
    for column in table.columns[1:]:
        column.justify = _RIGHT
    for count in status.dead_letters:
        recent = Text(f"{count.last_hour:,}", style="red" if count.last_hour else "")
        table.add_row(count.topic, recent, f"{count.kept:,}")
    return table


def _tables(status: Status) -> Table:
    table = Table("table", "rows")
    table.columns[1].justify = _RIGHT
    for count in status.tables:
        table.add_row(count.table, f"{'about ' if count.estimated else ''}{count.rows:,}")
    return table


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    seconds = max(0.0, (now - at.astimezone(UTC)).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
