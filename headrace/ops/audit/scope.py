"""The part of the tables to compare."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, Table

from sinks.sql.retention import Horizons
from sinks.sql.types import EARLIEST_MICROS, micros

#: More than the difference between the time of a recent event, and that of its alert.
_ARRIVAL = timedelta(hours=25)

#: The key by which rows are grouped; its first part is the site.
Key = tuple[str | int, ...]


class Scope(NamedTuple):
    """Filters: one site, a start time (inclusive), or keys. None means no filter.

    What was purged is not compared: `purged` are the horizons of the tables.
    """

    site: str | None = None
    since: datetime | None = None
    keys: frozenset[Key] | None = None
    purged: Horizons = Horizons()

    def complete_from(self, *, gap_us: int = 0) -> int:
        """Return the time (us) from which sessions and durations are complete.

        A visit within an inactivity gap after the horizon of `events` may have begun before it.
        """
        events, results = self.purged.events, self.purged.sessions
        return max(
            micros(events) + gap_us if events is not None else EARLIEST_MICROS,
            micros(results) if results is not None else EARLIEST_MICROS,
        )

    def may_lack_event(self, raised_at: datetime) -> bool:
        """Return True if the event of an alert may have been purged: it is at most a day older."""
        events = self.purged.events
        return events is not None and raised_at < events + _ARRIVAL

    def may_lack_alert(self, event_ts: int, *, known_for: timedelta = timedelta()) -> bool:
        """Return True if the alert of an event may have been purged.

        `known_for` is how long before the event its alert may have been raised.
        """
        alerts = self.purged.alerts
        return alerts is not None and event_ts < micros(alerts + _ARRIVAL + known_for)

    def filter_sites(self, query: Select[Any], table: Table) -> Select[Any]:
        """Restrict a query to the sites of this scope."""
        if self.site is not None:
            query = query.where(table.c.site_id == self.site)
        if self.keys is not None:
            query = query.where(table.c.site_id.in_(sorted({str(key[0]) for key in self.keys})))
        return query
