"""Add blocked ids, which mirror the topic `blocked-ids` (ADR 81)."""

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, required

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "blocked_ids",
        ("site_id", "hash"),
        *required(types.Text, "site_id", "hash"),
        *required(types.UtcTime(), "created_at"),
    )
