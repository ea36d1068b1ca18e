"""What a database contains, for the manifest of a backup."""

from typing import NamedTuple

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, select

from headrace.errors import UserError
from sinks.delivery.secret_box import SecretBox, count_locked
from sinks.sql.tables import METADATA

#: The tables whose rows are counted.
COUNTED = ("events", "sessions", "alerts", "sites", "site_keys", "subscriptions", "tokens")


class Contents(NamedTuple):
    """The Alembic revision, the schema (PostgreSQL), and the number of rows by table.

    `encrypted` is the number of secrets that need the key file.
    """

    revision: str
    rows: dict[str, int]
    encrypted: int
    schema: str = ""


def read_contents(connection: Connection) -> Contents:
    """Read the contents. Raises UserError if the database has an earlier schema."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        raise UserError("The database is not set up: run `headrace db upgrade`")
    rows = {
        name: connection.execute(
            select(func.count()).select_from(METADATA.tables[name])
        ).scalar_one()
        for name in COUNTED
    }
    schema = ""
    if connection.dialect.name == "postgresql":
        schema = str(connection.execute(select(func.current_schema())).scalar_one())
    return Contents(revision, rows, count_locked(connection, SecretBox()), schema)
