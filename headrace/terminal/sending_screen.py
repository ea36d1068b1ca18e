"""Progress of commands that send events: a live display on a terminal, else regular lines."""

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import Progress
from rich.status import Status
from rich.text import Text

from headrace.terminal.tables import visible

#: Between two progress lines without a terminal.
_LINE_SECONDS = 10.0


class SendingScreen:
    """A context manager that shows the progress of sending, and why it is waiting."""

    def __init__(
        self,
        console: Console,
        display: Progress | Status,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._display = display
        self._now = now
        self._printed_at = now()
        self._wait_reason: str | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._display.stop()

    def waiting(self, reason: str) -> None:
        """Print that sending is retried, and why; a repeated reason is printed once."""
        if reason != self._wait_reason:
            self._wait_reason = reason
            notice = Text("Waiting to retry: ", style="yellow").append_text(visible(reason))
            self._console.print(notice, soft_wrap=True)

    def _show_progress(self, text: str) -> None:
        """Print that sending has resumed after a wait; without a terminal, also the progress."""
        if self._wait_reason is not None:
            self._wait_reason = None
            self._console.print(Text("Resumed", style="green"))
        if not self._console.is_terminal and self._now() - self._printed_at >= _LINE_SECONDS:
            self._printed_at = self._now()
            self._console.print(visible(text), soft_wrap=True, highlight=False)
