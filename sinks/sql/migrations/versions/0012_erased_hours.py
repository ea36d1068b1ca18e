"""Remember the hours whose page durations include erased page leaves (ADR 67)."""

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, required

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = (*required(types.Text, "site_id"), *required(types.UtcTime(), "hour"))
    create_table("erased_hours", ("site_id", "hour"), *columns)
