"""What a replay shows while it runs: a bar on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from infra.replay.report import Report
from infra.tables import visible

#: Between two lines, where there is no terminal.
_LINE_SECONDS = 10.0


class ReplayScreen:
    """Shows how far a replay is; `total` is the size of all files, None when it is not known."""

    def __init__(
        self, console: Console, total: int | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn()) if total else ()
        self._progress = Progress(
            *columns,
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total)
        self._now = now
        self._said_at = now()
        self._why: str | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, report: Report, position: int) -> None:
        """Show what is done, `position` being the bytes of all files that were read for it."""
        if self._why is not None:
            self._why = None
            self._console.print(Text("Going on", style="green"))
        told = f"{report.sent:,} events, {report.rate:,.0f}/s"
        self._progress.update(self._task, completed=position, description=told)
        if not self._console.is_terminal and self._now() - self._said_at >= _LINE_SECONDS:
            self._said_at = self._now()
            self._console.print(visible(f"{told}, {report.last}"), soft_wrap=True)

    def waiting(self, why: str) -> None:
        """Say that events are to be sent again, and why; the same reason is said once."""
        if why != self._why:
            self._why = why
            told = Text("Waiting, to send again: ", style="yellow").append_text(visible(why))
            self._console.print(told, soft_wrap=True)
