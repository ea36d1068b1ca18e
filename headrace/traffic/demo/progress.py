"""Progress of a demo: a status line on a terminal, else regular lines."""

import time
from collections.abc import Callable
from decimal import Decimal

from rich.console import Console
from rich.status import Status

from headrace.terminal.sending_screen import SendingScreen
from headrace.traffic.demo.journey import Event
from headrace.traffic.replay.report import Report
from schemas import money
from schemas.plurals import counted

#: Descriptions of events by type. Events of other types are not described.
_DESCRIPTIONS: dict[str, Callable[[Event], str]] = {
    "payment": lambda event: f"[green]paid {_paid(event)}[/green]",
    "error": lambda event: f"[red]{event['error_name']}[/red] on {event['path']}",
    "identify": lambda event: f"{event['user_id']} logged in",
    "button_click": lambda event: f"added to cart: {event['properties']['product']}",
    "copy": lambda event: f"copied “{event['properties']['text']}”",
    "external_link": lambda event: f"followed a link to {event['properties']['href']}",
    "pageview": lambda event: f"viewed {event['title']}",
}


def _paid(event: Event) -> str:
    return money.format_amount(Decimal(str(event["amount"])), event["currency"])


class DemoScreen(SendingScreen):
    """Shows the number of visitors, and the latest event."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._status = Status("the first visitors are on their way", console=console)
        super().__init__(console, self._status, now)

    def show(self, report: Report, visitors: int, event: Event) -> None:
        """Show the number of events sent, the visitors on the site, and the latest event."""
        summary = f"{counted(report.sent, 'event')}, {report.rate:,.1f}/s, {visitors:,} on the site"
        if report.rejected:
            summary += f", {report.rejected:,} rejected"
        describe = _DESCRIPTIONS.get(event["type"])
        self._status.update(f"{summary} · {describe(event)}" if describe else summary)
        self._show_progress(summary)
