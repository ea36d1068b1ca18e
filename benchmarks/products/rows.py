"""The rows of events in a database."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import make_url, text

from sinks.sql.reader import open_reader

_SECONDS = 60


class Rows:
    """The rows of a table, or of a join, whose `column` has the id of an event after `prefix`."""

    def __init__(self, url: str, table: str, column: str, *, prefix: str = "") -> None:
        self._reader = open_reader(url, _SECONDS, readers=1)
        self._is_postgres = make_url(url).get_backend_name() == "postgresql"
        self._table, self._column, self._prefix = table, column, prefix

    async def count(self) -> int:
        """Return the number of rows."""
        ((rows,),) = await self._query(f"SELECT count(*) FROM {self._table}")  # noqa: S608
        return int(rows)

    async def find(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that have a row."""
        listed = ", ".join(f"'{self._prefix}{one}'" for one in ids)
        return set(await self._ids(f"WHERE {self._column} IN ({listed})")) if ids else set()

    async def ids(self) -> list[str]:
        """Return the id of each row."""
        return await self._ids("")

    async def database_bytes(self) -> int:
        """Return the size of a PostgreSQL database; 0 of SQLite, whose file is on disk."""
        if not self._is_postgres:
            return 0
        ((size,),) = await self._query("SELECT pg_database_size(current_database())")
        return int(size)

    async def close(self) -> None:
        """Close the connections."""
        await self._reader.close()

    async def _ids(self, where: str) -> list[str]:
        rows = await self._query(f"SELECT {self._column} FROM {self._table} {where}")  # noqa: S608
        return [str(one).removeprefix(self._prefix) for (one,) in rows]

    async def _query(self, statement: str) -> list[Any]:
        return await self._reader.run(lambda found: list(found.execute(text(statement)).all()))
