"""What a demo shows: one line that moves on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from infra.demo import shop
from infra.demo.journey import Event
from infra.replay.report import Report
from infra.tables import visible

#: Between two lines, where there is no terminal.
_LINE_SECONDS = 10.0
#: What is said of an event that is worth a word; the others are counted alone.
_WORDS: dict[str, Callable[[Event], str]] = {
    "payment": lambda event: f"[green]paid {event['amount']:.2f} {shop.CURRENCY}[/green]",
    "error": lambda event: f"[red]{event['error_name']}[/red] on {event['path']}",
    "identify": lambda event: f"{event['user_id']} logged in",
    "button_click": lambda event: f"into the cart: {event['properties']['product']}",
    "copy": lambda event: f"copied “{event['properties']['text']}”",
    "external_link": lambda event: f"left for {event['properties']['to']}",
    "pageview": lambda event: f"reads {event['title']}",
}


class DemoScreen:
    """Shows how many visitors there are, and what one of them does."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._status = Status("the first visitors are on their way", console=console)
        self._now = now
        self._said_at = now()
        self._why: str | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._status.stop()

    def show(self, report: Report, present: int, event: Event) -> None:
        """Show what was sent, how many people are on the site, and the latest that happened."""
        if self._why is not None:
            self._why = None
            self._console.print(Text("Going on", style="green"))
        told = f"{report.sent:,} events, {report.rate:,.1f}/s, {present:,} on the site"
        words = _WORDS.get(event["type"])
        self._status.update(f"{told} · {words(event)}" if words else told)
        if not self._console.is_terminal and self._now() - self._said_at >= _LINE_SECONDS:
            self._said_at = self._now()
            self._console.print(told, highlight=False)

    def waiting(self, why: str) -> None:
        """Say that events are to be sent again, and why; the same reason is said once."""
        if why != self._why:
            self._why = why
            told = Text("Waiting, to send again: ", style="yellow").append_text(visible(why))
            self._console.print(told, soft_wrap=True)
