"""Terminal output of audits and rebuilds: a progress bar, then a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from headrace.ops.audit.findings import EARLIER_RULES, Findings
from headrace.terminal.tables import visible
from schemas.plurals import counted

#: Differences shown per table.
_MAX_SHOWN = 20


class ReadingProgress(Progress):
    """Shows on a terminal how many rows of `events` were read, of `total` if it is known."""

    def __init__(self, console: Console, total: int | None) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._reading = self.add_task("reading events", total=total)

    def add_rows(self, rows: int) -> None:
        """Add to the number of rows read."""
        self.advance(self._reading, rows)

    def set_step(self, description: str) -> None:
        """Show the current step."""
        self.update(self._reading, description=description)

    def show_retry(self, differing: int) -> None:
        """Show that rows are compared again."""
        self.set_step(f"{counted(differing, 'row')} to compare again, after a pause for the sinks")


def verdict(findings: Sequence[Findings]) -> str:
    """Return the result of an audit as a sentence, with the command to run."""
    differing = sum(found.differing for found in findings)
    if not differing:
        return "✓ All results match the events."
    earlier = sum(
        one.problem.startswith(EARLIER_RULES) for found in findings for one in found.differences
    )
    if differing == earlier:
        were = "was" if differing == 1 else "were"
        return (
            f"✗ {counted(differing, 'row')} {were} computed by an earlier version: run "
            "`headrace rebuild sessions` once."
        )
    rows = f"{counted(differing, 'row')} {'differs' if differing == 1 else 'differ'}"
    return f"✗ {rows} from the events: see docs/audit.md, then run `headrace rebuild`."


def show_findings(console: Console, findings: Sequence[Findings]) -> None:
    """Print the number of differences and the first differences of each table."""
    table = Table("table", "rows compared", "differ")
    for found in findings:
        differ = f"[red]{found.differing:,}[/red]" if found.differing else "0"
        table.add_row(found.table, f"{found.compared:,}", differ)
    console.print(table)
    for found in findings:
        for difference in found.differences[:_MAX_SHOWN]:
            line = f"{difference.table}: {difference.row}: {difference.problem}"
            console.print(visible(line), soft_wrap=True)
        if found.differing > _MAX_SHOWN:
            console.print(f"{found.table}: … and {found.differing - _MAX_SHOWN:,} more")
