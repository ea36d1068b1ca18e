"""The report of a replay: counts while it runs, a table and a summary at the end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from headrace.terminal.tables import visible
from headrace.traffic.replay.sender import Result

_CLAMPED = {
    "too_old": "over 24 hours old, and no import window was open",
    "too_new": "over 5 minutes ahead of the server's clock, and no import window was open",
}
#: What to do if timestamps were, or would be, clamped.
CLAMPED_ADVICE = (
    "To keep timestamps, use --token with a token of `headrace tokens create --manage --site "
    "SITE`, or set HEADRACE_IMPORT__SITES on the server"
)
_ALREADY_SENT = (
    "Events that were sent keep the wrong time, because sending them again has no effect, except "
    "with another --site-id. Use --dry-run first"
)


@dataclass(slots=True)
class ReasonCount:
    """The number of events with one reason, and the location and sentence of the first."""

    location: str
    sentence: str
    count: int = 0


class Report:
    """Counts the results of events."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, *, is_dry_run: bool = False
    ) -> None:
        self._now = now
        self._began = now()
        self._is_dry_run = is_dry_run
        self.accepted = 0
        self.rejections: dict[str, ReasonCount] = {}
        #: Accepted events with a clamped timestamp, by reason.
        self.clamped: dict[str, ReasonCount] = {}
        #: Accepted events without a timestamp.
        self.without_time = 0
        #: The location of the event that was counted last.
        self.last = ""

    def count(self, location: str, result: Result, *, has_time: bool = True) -> None:
        """Count the result of the event at `location`."""
        self.last = location
        if result.status != "accepted":
            first = ReasonCount(location, result.error)
            self.rejections.setdefault(result.code, first).count += 1
            return
        self.accepted += 1
        self.without_time += not has_time
        if result.clamped:
            first = ReasonCount(location, _CLAMPED.get(result.clamped, result.clamped))
            self.clamped.setdefault(result.clamped, first).count += 1

    @property
    def rejected(self) -> int:
        """The number of rejected events."""
        return sum(rejections.count for rejections in self.rejections.values())

    @property
    def sent(self) -> int:
        """The number of accepted and rejected events."""
        return self.accepted + self.rejected

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._now() - self._began

    @property
    def rate(self) -> float:
        """Events per second since the start."""
        return self.sent / seconds if (seconds := self.seconds) > 0 else 0.0

    def advice(self) -> list[str]:
        """Return notes about accepted events, with what to do."""
        notes = []
        if clamped := sum(one.count for one in self.clamped.values()):
            counted = f"{clamped:,} timestamp{'s' * (clamped > 1)}"
            if self._is_dry_run:
                notes.append(f"{counted} would be clamped. {CLAMPED_ADVICE}.")
            else:
                verb = "were" if clamped > 1 else "was"
                notes.append(f"{counted} {verb} clamped. {CLAMPED_ADVICE}. {_ALREADY_SENT}.")
        if self.without_time:
            counted = (
                "1 event has no `timestamp`: its time is"
                if self.without_time == 1
                else f"{self.without_time:,} events have no `timestamp`: their time is"
            )
            notes.append(
                f"{counted} the time of arrival. If another field has it, use "
                "--map FIELD=timestamp."
            )
        return notes

    def table(self) -> Table:
        """Return the table that is printed at the end."""
        table = Table("events", "outcome", "first at", "reason")
        table.columns[0].justify = "right"
        table.columns[2].overflow = "fold"
        name = "would be accepted" if self._is_dry_run else "accepted"
        table.add_row(f"{self.accepted:,}", f"[green]{name}[/green]")
        self._add_rows(table, "of these clamped: ", "yellow", self.clamped)
        if self.without_time:
            table.add_row(f"{self.without_time:,}", "[yellow]of these without a timestamp[/yellow]")
        self._add_rows(table, "refused: ", "red", self.rejections)
        table.add_section()
        table.add_row(f"{self.sent:,}", f"in {self.seconds:.1f} seconds")
        table.add_row(f"{self.rate:,.0f}", "per second")
        return table

    def _add_rows(self, table: Table, kind: str, style: str, of: Mapping[str, ReasonCount]) -> None:
        for code, found in sorted(of.items(), key=lambda item: -item[1].count):
            name = visible(kind + code)
            name.stylize(style)
            table.add_row(
                f"{found.count:,}", name, visible(found.location), visible(found.sentence)
            )

    def summary(self, *, is_complete: bool) -> dict[str, Any]:
        """Return the report for JSON; `is_complete` is False if the replay ended early."""

        def reasons(of: Mapping[str, ReasonCount]) -> list[dict[str, Any]]:
            return [
                {"code": code, "count": one.count, "first_at": one.location, "error": one.sentence}
                for code, one in sorted(of.items(), key=lambda item: -item[1].count)
            ]

        return {
            "dry_run": self._is_dry_run,
            "complete": is_complete,
            "events": self.sent,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "clamped": sum(one.count for one in self.clamped.values()),
            "without_timestamp": self.without_time,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate, 1),
            "rejected_reasons": reasons(self.rejections),
            "clamped_reasons": reasons(self.clamped),
            "advice": self.advice(),
        }
