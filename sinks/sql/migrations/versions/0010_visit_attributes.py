"""Add what a visit's events say about its traffic source, place and device, and its trust.

Constant defaults rewrite no row on either engine.
"""

import sqlalchemy as sa
from alembic import op

from sinks.sql import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXTS = ("source", "channel", "country", "region", "browser", "os", "device")


def upgrade() -> None:
    for name in _TEXTS:
        op.add_column("sessions", sa.Column(name, types.Text))
    trust = sa.Column("trust", types.Text, nullable=False, server_default="open")
    op.add_column("sessions", trust)
