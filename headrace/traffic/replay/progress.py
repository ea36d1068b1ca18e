"""Progress of a replay: a progress bar on a terminal, else regular lines."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from headrace.terminal.sending_screen import SendingScreen
from headrace.traffic.replay.report import Report
from schemas.plurals import counted


class ReplayScreen(SendingScreen):
    """Shows the progress of a replay; `total` is the size of all files, or None if unknown."""

    def __init__(
        self, console: Console, total: int | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn()) if total else ()
        description = TextColumn("{task.description}")
        self._progress = Progress(*columns, description, console=console, transient=True)
        self._task = self._progress.add_task("", total=total)
        super().__init__(console, self._progress, now)

    def show(self, report: Report, position: int) -> None:
        """Show the progress; `position` is the number of bytes read from all files."""
        summary = f"{counted(report.sent, 'event')}, {report.rate:,.0f}/s"
        self._progress.update(self._task, completed=position, description=summary)
        self._show_progress(f"{summary}, {report.last}")
