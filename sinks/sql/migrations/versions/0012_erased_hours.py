"""Record the hours with erased page leaves, and find the visits of a session (ADR 67)."""

from alembic import op

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, required

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = (*required(types.Text, "site_id"), *required(types.UtcTime(), "hour"))
    create_table("erased_hours", ("site_id", "hour"), *columns)
    op.create_index("ix_sessions_site_id_session_id", "sessions", ["site_id", "session_id"])
