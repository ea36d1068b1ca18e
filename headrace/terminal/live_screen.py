"""A progress display that is shown on terminals only."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress
from rich.status import Status


class LiveScreen:
    """A context manager that shows a progress bar or a status line on a terminal."""

    def __init__(self, console: Console, display: Progress | Status) -> None:
        self._console = console
        self._display = display

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._display.stop()
