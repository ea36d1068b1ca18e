"""Which part of the tables is looked at."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, collate

#: What rows are gathered by; the site comes first.
Key = tuple[str | int, ...]


class Scope(NamedTuple):
    """Everything, or only a site, what is of a time or later, or certain keys."""

    site: str | None = None
    since: datetime | None = None
    keys: frozenset[Key] | None = None

    @property
    def sites(self) -> frozenset[str] | None:
        """The sites of the keys; None: all."""
        return None if self.keys is None else frozenset(str(key[0]) for key in self.keys)


def bytewise(connection: Connection, column: Any) -> ColumnElement[str]:
    """Return the column sorted as Python sorts text, whatever the database's language is."""
    return collate(column, "C") if connection.dialect.name == "postgresql" else column
