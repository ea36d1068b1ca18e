"""Index every list, and compare text by its code points on PostgreSQL (ADR 39 and 40).

Both engines build the indexes inside the migration's transaction, while headrace is stopped: a
failed migration leaves nothing, where CREATE INDEX CONCURRENTLY would leave an invalid index.
"""

import sqlalchemy as sa
from alembic import op

from sinks.sql.tables import METADATA, VIEWS

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_LISTED = "(subscription_id IS NULL OR rule <> 'payment')"


def upgrade() -> None:
    op.drop_index("ix_sessions_site_id_started_at", "sessions")
    op.drop_index("ix_alerts_site_id_seq", "alerts")
    op.drop_index("ix_subscriptions_site_id_rule", "subscriptions")
    op.drop_index("ix_deliveries_subscription_id_state_next_attempt_at", "deliveries")
    _collate()
    _index("sessions", "ix_sessions_site_id_started_at", "site_id", "started_at", "visit_id")
    _index("sessions", "ix_sessions_site_id_state", "site_id", "state", "started_at", "visit_id")
    _index("alerts", "ix_alerts_site_id_seq", "site_id", "seq", where=_LISTED, unique=True)
    _index("alerts", "ix_alerts_site_id_raised_at", "site_id", "raised_at", "seq", where=_LISTED)
    _index(
        *("alerts", "ix_alerts_site_id_rule", "site_id", "rule", "raised_at", "seq"),
        where=_LISTED,
    )
    subscriptions = ("site_id", "created_at", "subscription_id")
    _index("subscriptions", f"ix_subscriptions_{'_'.join(subscriptions)}", *subscriptions)
    _index("subscriptions", f"ix_subscriptions_{'_'.join(subscriptions[1:])}", *subscriptions[1:])
    deliveries = ("state", "subscription_id", "next_attempt_at")
    _index("deliveries", f"ix_deliveries_{'_'.join(deliveries)}", *deliveries)


def _index(
    table: str, name: str, *columns: str, where: str | None = None, unique: bool = False
) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(
        *(name, table, list(columns)),
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _collate() -> None:
    """Give the text columns of all tables the collation C; SQLite compares bytes as it is.

    PostgreSQL builds the indexes of such columns again, but does not rewrite the tables.
    """
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    views = {view: _definition(connection, view) for view in VIEWS}
    for view in views:
        op.execute(f"DROP VIEW {view}")
    inspector = sa.inspect(connection)
    for table in sorted(METADATA.tables.keys() & set(inspector.get_table_names())):
        changes = ", ".join(
            f'ALTER COLUMN "{column["name"]}" TYPE text COLLATE "C"'
            for column in inspector.get_columns(table)
            if isinstance(column["type"], sa.Text)
        )
        if changes:
            op.execute(f"ALTER TABLE {table} {changes}")
    for view, definition in views.items():
        op.execute(f"CREATE VIEW {view} AS {definition}")


def _definition(connection: sa.Connection, view: str) -> str:
    query = sa.text("SELECT pg_get_viewdef(to_regclass(:name))")
    return str(connection.execute(query, {"name": view}).scalar_one())
