"""Add registered sites and their keys, which mirror the topic `sites` (ADR 65)."""

from alembic import op

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, optional, required

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "sites",
        ("site_id",),
        *required(types.Text, "site_id"),
        *required(types.JsonText(), "origins"),
        *optional(types.JsonText(), "require_key"),
        *optional(types.BigInt, "events_per_second"),
        *required(types.Flag(), "counts_bots", "derives_visitors", "honours_opt_out"),
        *required(types.UtcTime(), "created_at", "updated_at"),
    )
    create_table(
        "site_keys",
        ("key_id",),
        *required(types.UuidText(), "key_id"),
        *required(types.Text, "site_id", "name", "key_hash"),
        *required(types.UtcTime(), "created_at"),
    )
    op.create_index("ix_site_keys_site_id", "site_keys", ["site_id"])
