"""Find a subscription's deliveries by time alone: a cooldown is not of one subject (ADR 45)."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_deliveries_subscription_id_subject_raised_at", "deliveries")
    op.create_index(
        "ix_deliveries_subscription_id_raised_at", "deliveries", ["subscription_id", "raised_at"]
    )
