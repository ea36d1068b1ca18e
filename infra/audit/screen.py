"""What an audit or a rebuild shows: a bar while it reads, then a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infra.audit.difference import EARLIER_RULES, Findings
from infra.moving import LiveScreen
from infra.tables import visible
from schemas.counted import counted

#: Differences of one table that are shown.
_SHOWN = 20


class ReadingScreen(LiveScreen):
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

    def step(self, doing: str) -> None:
        """Show what is done now."""
        self._progress.update(self._task, description=doing)

    def settling(self, differing: int) -> None:
        """Show that rows are compared again."""
        description = f"{counted(differing, 'row')} to compare again, once the sinks have settled"
        self._progress.update(self._task, description=description)


def verdict(findings: Sequence[Findings]) -> str:
    """Return the outcome of an audit in a sentence, with what to do about it."""
    differing = sum(found.differing for found in findings)
    if not differing:
        return "✓ All is as the events say."
    earlier = sum(
        one.what.startswith(EARLIER_RULES) for found in findings for one in found.differences
    )
    if differing == earlier:
        are, them = ("is", "it") if differing == 1 else ("are", "them")
        return (
            f"✗ {counted(differing, 'row')} {are} as an earlier version computed {them}: run "
            "`headrace rebuild sessions` once."
        )
    rows = f"{counted(differing, 'row')} {'differs' if differing == 1 else 'differ'}"
    return f"✗ {rows} from what the events say: see docs/audit.md, then `headrace rebuild`."


def show_findings(console: Console, findings: Sequence[Findings]) -> None:
    """Show the outcome for each table, and the first differences of each."""
    table = Table("table", "rows compared", "differ")
    for found in findings:
        differ = f"[red]{found.differing:,}[/red]" if found.differing else "0"
        table.add_row(found.table, f"{found.compared:,}", differ)
    console.print(table)
    for found in findings:
        for difference in found.differences[:_SHOWN]:
            line = f"{difference.table}: {difference.row}: {difference.what}"
            console.print(visible(line), soft_wrap=True)
        if found.differing > _SHOWN:
            console.print(f"{found.table}: … and {found.differing - _SHOWN:,} more")
