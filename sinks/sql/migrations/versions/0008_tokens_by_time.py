"""List tokens by the time they were made: the newest are a range of an index (ADR 39)."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tokens_created_at_token_id", "tokens", ["created_at", "token_id"])
