"""Add the epoch of the Kafka cluster to each offset (ADR 43): 0 for all rows that are there.

A column with a constant default rewrites no row on either engine.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("events", "consumer_offsets"):
        column = sa.Column("kafka_epoch", sa.Integer(), nullable=False, server_default=sa.text("0"))
        op.add_column(table, column)
