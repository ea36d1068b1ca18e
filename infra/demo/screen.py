"""What a demo shows: one line that moves on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable
from decimal import Decimal

from rich.console import Console
from rich.status import Status

from infra.demo.journey import Event
from infra.notices import SendingScreen
from infra.replay.report import Report
from schemas import money
from schemas.counted import counted

#: What is said of an event that is worth a word; the others are counted alone.
_WORDS: dict[str, Callable[[Event], str]] = {
    "payment": lambda event: f"[green]paid {_paid(event)}[/green]",
    "error": lambda event: f"[red]{event['error_name']}[/red] on {event['path']}",
    "identify": lambda event: f"{event['user_id']} logged in",
    "button_click": lambda event: f"into the cart: {event['properties']['product']}",
    "copy": lambda event: f"copied “{event['properties']['text']}”",
    "external_link": lambda event: f"left for {event['properties']['to']}",
    "pageview": lambda event: f"reads {event['title']}",
}


def _paid(event: Event) -> str:
    return money.shown(Decimal(str(event["amount"])), event["currency"])


class DemoScreen(SendingScreen):
    """Shows how many visitors there are, and what one of them does."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._status = Status("the first visitors are on their way", console=console)
        super().__init__(console, self._status, now)

    def show(self, report: Report, present: int, event: Event) -> None:
        """Show what was sent, how many people are on the site, and the latest that happened."""
        told = f"{counted(report.sent, 'event')}, {report.rate:,.1f}/s, {present:,} on the site"
        words = _WORDS.get(event["type"])
        self._status.update(f"{told} · {words(event)}" if words else told)
        self._show_progress(told)
