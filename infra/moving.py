"""What moves on a terminal while a command works, and stays away elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress
from rich.status import Status


class Moving:
    """A screen whose bar or line moves for as long as its `with` lasts."""

    def __init__(self, console: Console, moving: Progress | Status) -> None:
        self._console = console
        self._moving = moving

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._moving.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._moving.stop()
