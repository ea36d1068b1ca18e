"""What became of a replay, counted while it runs, and its table at the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table

from infra.replay.sender import Result
from infra.tables import visible


@dataclass(slots=True)
class Refused:
    """Events refused for one reason: how many, and the place and sentence of the first."""

    place: str
    sentence: str
    count: int = 0


class Report:
    """Counts results; each event must be told once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self.accepted = 0
        self.refused: dict[str, Refused] = {}
        #: Where the event is that was settled last.
        self.last = ""

    def count(self, place: str, result: Result) -> None:
        """Note what became of the event at a place."""
        self.last = place
        if result.status == "accepted":
            self.accepted += 1
        else:
            first = Refused(place, result.error)
            self.refused.setdefault(result.code, first).count += 1

    @property
    def sent(self) -> int:
        """How many events the server has taken or refused."""
        return self.accepted + sum(refused.count for refused in self.refused.values())

    @property
    def seconds(self) -> float:
        """For how long the replay has been running."""
        return self._now() - self._began

    @property
    def rate(self) -> float:
        """Events a second, from the beginning."""
        return self.sent / seconds if (seconds := self.seconds) > 0 else 0.0

    def table(self) -> Table:
        """Return the table of it all."""
        table = Table("events", "what became of them", "first at", "because")
        table.columns[0].justify = "right"
        table.columns[2].overflow = "fold"
        table.add_row(f"{self.accepted:,}", "[green]accepted[/green]")
        reasons = sorted(self.refused.items(), key=lambda item: -item[1].count)
        for code, refused in reasons:
            name = visible(f"refused: {code}")
            name.stylize("red")
            table.add_row(
                f"{refused.count:,}", name, visible(refused.place), visible(refused.sentence)
            )
        table.add_section()
        table.add_row(f"{self.sent:,}", f"in {self.seconds:.1f} seconds")
        table.add_row(f"{self.rate:,.0f}", "a second")
        return table
