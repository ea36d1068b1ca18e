"""The progress of a command that sends events: on a terminal it moves, elsewhere it is lines."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress
from rich.status import Status
from rich.text import Text

from infra.moving import Moving
from infra.tables import visible

#: Between two lines, where there is no terminal.
_LINE_SECONDS = 10.0


class SendingScreen(Moving):
    """Shows progress and says why a command waits, for as long as its `with` lasts."""

    def __init__(
        self,
        console: Console,
        moving: Progress | Status,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(console, moving)
        self._now = now
        self._said_at = now()
        self._why: str | None = None

    def waiting(self, why: str) -> None:
        """Say that events are to be sent again, and why; the same reason is said once."""
        if why != self._why:
            self._why = why
            notice = Text("Waiting, to send again: ", style="yellow").append_text(visible(why))
            self._console.print(notice, soft_wrap=True)

    def _line(self, text: str) -> None:
        """Say that sending goes on after a wait; how it goes, now and then, without a terminal."""
        if self._why is not None:
            self._why = None
            self._console.print(Text("Going on", style="green"))
        if not self._console.is_terminal and self._now() - self._said_at >= _LINE_SECONDS:
            self._said_at = self._now()
            self._console.print(visible(text), soft_wrap=True, highlight=False)
