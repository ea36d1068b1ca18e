"""Remember until when rows were purged, and find old alerts by an index (ADR 66)."""

import sqlalchemy as sa
from alembic import op

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, optional, required

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = (*required(types.Text, "name"), *optional(types.UtcTime(), "purged_until"))
    create_table("retention", ("name",), *columns)
    names = sa.table("retention", sa.column("name"))
    op.bulk_insert(names, [{"name": name} for name in ("events", "sessions", "alerts")])
    op.create_index("ix_alerts_site_id_raised_at_all", "alerts", ["site_id", "raised_at"])
