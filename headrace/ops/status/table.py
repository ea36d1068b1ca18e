"""Terminal output of `headrace status`."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from headrace.ops.status.model import ConsumerProgress, Problem, Process, Role, Status
from headrace.terminal.tables import visible
from schemas.plurals import counted


def render_status(status: Status, now: datetime) -> Iterator[RenderableType]:
    """Yield the problems with their fixes, the notes, and the tables of a status."""
    yield from _verdict(status.problems)
    for note in status.notes:
        yield _problem_line(note, "! ", "yellow")
    if status.roles:
        yield _roles(status.roles)
    if status.processes:
        yield _processes(status.processes, now)
    if status.consumers:
        yield _consumers(status.consumers, now)
    if status.dead_letters:
        yield _dead_letters(status)
    if status.tables:
        yield _tables(status)
    if status.rejections:
        yield _rejections(status)


def _verdict(problems: list[Problem]) -> Iterator[Text]:
    if not problems:
        yield Text("✓ All is well.", style="green")
    if len(problems) > 1:
        yield Text(f"✗ {counted(len(problems), 'problem')}:", style="red")
    for problem in problems:
        yield _problem_line(problem, "✗ ", "red")


def _problem_line(problem: Problem, mark: str, style: str) -> Text:
    return Text.assemble((mark, style), visible(problem.what), f" → {problem.do}")


def _roles(roles: list[Role]) -> Table:
    table = _table("role", ">workers", "process", "state")
    for role in roles:
        workers = "" if role.workers is None else str(role.workers)
        process = "" if role.process is None else str(role.process)
        is_red = role.not_ready is not None or role.workers == 0
        state = Text("not ready" if is_red else "ready", style="red" if is_red else "green")
        table.add_row(role.name, workers, process, state)
    return table


def _processes(processes: list[Process], now: datetime) -> Table:
    table = _table("role", "host", ">process", "version", "started", "seen", "state")
    for process in processes:
        if process.silent_seconds is not None:
            state = Text("silent", style="red")
        elif process.not_ready is not None:
            state = Text("not ready", style="red")
        else:
            state = Text("ready", style="green")
        times = (_ago(process.started_at, now), _ago(process.seen_at, now))
        names = (process.role, visible(process.host), str(process.pid), process.version)
        table.add_row(*names, *times, state)
    return table


def _consumers(consumers: list[ConsumerProgress], now: datetime) -> Table:
    table = _table("role", "topic", ">lag", ">records/s", "processed until", "last commit")
    for consumer in consumers:
        lag = Text(f"{consumer.lag:,}", style="red" if consumer.stuck else "")
        done_until = _ago(consumer.done_until, now) if consumer.lag else "all"
        times = (done_until, _ago(consumer.last_commit, now))
        table.add_row(consumer.role, consumer.topic, lag, f"{consumer.rate:,.0f}", *times)
    return table


def _dead_letters(status: Status) -> Table:
    counts = (">open, last hour", ">last hour", ">30 days", ">replayed", ">discarded")
    table = _table("dead letters in", *counts)
    for count in status.dead_letters:
        recent = Text(f"{count.open:,}", style="red" if count.open else "")
        rest = (count.last_hour, count.kept, count.replayed, count.discarded)
        table.add_row(count.topic, recent, *(f"{number:,}" for number in rest))
    return table


def _tables(status: Status) -> Table:
    table = _table("table", ">rows")
    for count in status.tables:
        table.add_row(count.table, f"{'about ' if count.estimated else ''}{count.rows:,}")
    return table


def _rejections(status: Status) -> Table:
    table = _table("rejected events of", "reason", ">since their start")
    for count in status.rejections:
        table.add_row(count.site or "sites not registered", count.reason, f"{count.events:,}")
    return table


def _table(*columns: str) -> Table:
    """Return a table without rows. Columns whose names begin with ">" are right-aligned."""
    table = Table()
    for name in columns:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return table


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    seconds = max(0.0, (now - at.astimezone(UTC)).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
