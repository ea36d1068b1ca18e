"""What an audit or a rebuild shows: a bar while it reads, then a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infra.audit.difference import Findings
from infra.moving import Moving
from infra.tables import visible

#: Differences of one table that are shown.
_SHOWN = 20


class ReadingScreen(Moving):
    """Shows how many rows of events were read; `total` is None where it is not known."""

    def __init__(self, console: Console, total: int | None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        super().__init__(console, self._progress)
        self._task = self._progress.add_task("reading events", total=total)

    def seen(self, rows: int) -> None:
        """Show that more rows were read."""
        self._progress.advance(self._task, rows)

    def settling(self, differing: int) -> None:
        """Show that rows are looked at again."""
        told = f"{differing:,} rows differ; looking whether they settle"
        self._progress.update(self._task, description=told)


def show_findings(console: Console, findings: Sequence[Findings]) -> None:
    """Show the outcome for each table, and the first differences of each."""
    table = Table("table", "rows compared", "differ")
    for found in findings:
        differ = f"[red]{found.differing:,}[/red]" if found.differing else "0"
        table.add_row(found.table, f"{found.compared:,}", differ)
    console.print(table)
    for found in findings:
        for difference in found.differences[:_SHOWN]:
            told = f"{difference.table}: {difference.row}: {difference.what}"
            console.print(visible(told), soft_wrap=True)
        if found.differing > _SHOWN:
            console.print(f"{found.table}: … and {found.differing - _SHOWN:,} more")
