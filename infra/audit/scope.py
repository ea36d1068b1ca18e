"""Which part of the tables is compared."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Table

#: What rows are grouped by; the site comes first.
Key = tuple[str | int, ...]


class Scope(NamedTuple):
    """Everything, or only a site, what is of a time or later, or certain keys."""

    site: str | None = None
    since: datetime | None = None
    keys: frozenset[Key] | None = None

    def of_sites(self, query: Select[Any], table: Table) -> Select[Any]:
        """Return the query for the rows of the scope's sites."""
        if self.site is not None:
            query = query.where(table.c.site_id == self.site)
        if self.keys is not None:
            query = query.where(table.c.site_id.in_(sorted({str(key[0]) for key in self.keys})))
        return query
