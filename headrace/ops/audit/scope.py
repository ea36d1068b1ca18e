"""The part of the tables to compare."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Table

#: The key by which rows are grouped; its first part is the site.
Key = tuple[str | int, ...]


class Scope(NamedTuple):
    """Filters: one site, a start time (inclusive), or keys. None means no filter."""

    site: str | None = None
    since: datetime | None = None
    keys: frozenset[Key] | None = None

    def filter_sites(self, query: Select[Any], table: Table) -> Select[Any]:
        """Restrict a query to the sites of this scope."""
        if self.site is not None:
            query = query.where(table.c.site_id == self.site)
        if self.keys is not None:
            query = query.where(table.c.site_id.in_(sorted({str(key[0]) for key in self.keys})))
        return query
