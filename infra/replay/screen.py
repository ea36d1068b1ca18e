"""What a replay shows while it runs: a bar on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from infra.moving import Moving
from infra.notices import Notices
from infra.replay.report import Report


class ReplayScreen(Moving):
    """Shows how far a replay is; `total` is the size of all files, None when it is not known."""

    def __init__(
        self, console: Console, total: int | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn()) if total else ()
        self._progress = Progress(
            *columns,
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        super().__init__(console, self._progress)
        self._task = self._progress.add_task("", total=total)
        self._notices = Notices(console, now)

    def show(self, report: Report, position: int) -> None:
        """Show what is done, `position` being the bytes of all files that were read for it."""
        self._notices.going_on()
        told = f"{report.sent:,} events, {report.rate:,.0f}/s"
        self._progress.update(self._task, completed=position, description=told)
        self._notices.line(f"{told}, {report.last}")

    def waiting(self, why: str) -> None:
        """Say that events are to be sent again, and why."""
        self._notices.waiting(why)
