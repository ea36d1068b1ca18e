"""What became of a replay, counted while it runs; its table and summary at the end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from infra.replay.sender import Result
from infra.tables import visible

_CLAMPED = {
    "too_old": "over 24 hours old, and no import window was open",
    "too_new": "over 5 minutes ahead of the server's clock, and no import window was open",
}
#: For events whose timestamps were, or would be, clamped.
CLAMPED_ADVICE = (
    "Timestamps are kept in an import window: give --token with one of `headrace tokens create "
    "--manage --site SITE`, or set HEADRACE_IMPORT__SITES for the server"
)
_ALREADY_SENT = (
    "Those sent now keep the wrong time: sending them again changes nothing, unless as another "
    "--site-id. Use --dry-run first"
)


@dataclass(slots=True)
class Refused:
    """Events with one reason: how many, and the place and sentence of the first."""

    place: str
    sentence: str
    count: int = 0


class Report:
    """Counts results; each event must be counted once."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, *, is_dry_run: bool = False
    ) -> None:
        self._now = now
        self._began = now()
        self._is_dry_run = is_dry_run
        self.accepted = 0
        self.refused: dict[str, Refused] = {}
        #: Accepted, but not with their timestamps.
        self.clamped: dict[str, Refused] = {}
        #: Accepted, with the time of arrival.
        self.without_time = 0
        #: Where the event is that was settled last.
        self.last = ""

    def count(self, place: str, result: Result, *, has_time: bool = True) -> None:
        """Count the event at a place."""
        self.last = place
        if result.status != "accepted":
            first = Refused(place, result.error)
            self.refused.setdefault(result.code, first).count += 1
            return
        self.accepted += 1
        self.without_time += not has_time
        if result.clamped:
            first = Refused(place, _CLAMPED.get(result.clamped, result.clamped))
            self.clamped.setdefault(result.clamped, first).count += 1

    @property
    def rejected(self) -> int:
        """How many events were rejected."""
        return sum(refused.count for refused in self.refused.values())

    @property
    def sent(self) -> int:
        """How many events were accepted or rejected."""
        return self.accepted + self.rejected

    @property
    def seconds(self) -> float:
        """For how long the replay has been running."""
        return self._now() - self._began

    @property
    def rate(self) -> float:
        """Events a second, from the beginning."""
        return self.sent / seconds if (seconds := self.seconds) > 0 else 0.0

    def advice(self) -> list[str]:
        """Return what to know about events that were accepted, a sentence or two each."""
        found = []
        if clamped := sum(one.count for one in self.clamped.values()):
            counted = f"{clamped:,} timestamp{'s' * (clamped > 1)}"
            if self._is_dry_run:
                found.append(f"{counted} would be clamped. {CLAMPED_ADVICE}.")
            else:
                verb = "were" if clamped > 1 else "was"
                found.append(f"{counted} {verb} clamped. {CLAMPED_ADVICE}. {_ALREADY_SENT}.")
        if self.without_time:
            counted = (
                "1 event has no `timestamp`: its time is"
                if self.without_time == 1
                else f"{self.without_time:,} events have no `timestamp`: their time is"
            )
            found.append(
                f"{counted} that of arrival. If another field has it, use --map FIELD=timestamp."
            )
        return found

    def table(self) -> Table:
        """Return the table of it all."""
        table = Table("events", "what became of them", "first at", "because")
        table.columns[0].justify = "right"
        table.columns[2].overflow = "fold"
        name = "would be accepted" if self._is_dry_run else "accepted"
        table.add_row(f"{self.accepted:,}", f"[green]{name}[/green]")
        self._add_rows(table, "of these clamped: ", "yellow", self.clamped)
        if self.without_time:
            table.add_row(f"{self.without_time:,}", "[yellow]of these without a timestamp[/yellow]")
        self._add_rows(table, "refused: ", "red", self.refused)
        table.add_section()
        table.add_row(f"{self.sent:,}", f"in {self.seconds:.1f} seconds")
        table.add_row(f"{self.rate:,.0f}", "a second")
        return table

    def _add_rows(self, table: Table, kind: str, style: str, of: Mapping[str, Refused]) -> None:
        for code, found in sorted(of.items(), key=lambda item: -item[1].count):
            name = visible(kind + code)
            name.stylize(style)
            table.add_row(f"{found.count:,}", name, visible(found.place), visible(found.sentence))

    def summary(self, *, is_complete: bool) -> dict[str, Any]:
        """Return the report as JSON; `complete` is false when the replay ended early."""

        def reasons(of: Mapping[str, Refused]) -> list[dict[str, Any]]:
            return [
                {"code": code, "count": one.count, "first_at": one.place, "error": one.sentence}
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
            "rejected_reasons": reasons(self.refused),
            "clamped_reasons": reasons(self.clamped),
            "advice": self.advice(),
        }
