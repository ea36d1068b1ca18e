"""What is said beside the progress of sending: that it waits and why; lines for no terminal."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from infra.tables import visible

#: Between two lines, where there is no terminal.
_LINE_SECONDS = 10.0


class Notices:
    """The notices of one command that sends events."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._said_at = now()
        self._why: str | None = None

    def waiting(self, why: str) -> None:
        """Say that events are to be sent again, and why; the same reason is said once."""
        if why != self._why:
            self._why = why
            told = Text("Waiting, to send again: ", style="yellow").append_text(visible(why))
            self._console.print(told, soft_wrap=True)

    def going_on(self) -> None:
        """Say that events are sent again, when it was said that they wait."""
        if self._why is not None:
            self._why = None
            self._console.print(Text("Going on", style="green"))

    def line(self, told: str) -> None:
        """Say how it goes, now and then, where no terminal shows it all the time."""
        if not self._console.is_terminal and self._now() - self._said_at >= _LINE_SECONDS:
            self._said_at = self._now()
            self._console.print(visible(told), soft_wrap=True, highlight=False)
