"""Add the fields that the server derives from a request (ADR 64).

Constant defaults rewrite no row on either engine.
"""

import sqlalchemy as sa
from alembic import op

from sinks.sql import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXTS = (
    *("browser", "browser_version", "os", "device", "country", "region"),
    *("source", "channel", "excluded"),
)


def upgrade() -> None:
    for name in _TEXTS:
        op.add_column("events", sa.Column(name, types.Text))
    is_bot = sa.Column("is_bot", types.Flag, nullable=False, server_default=sa.false())
    op.add_column("events", is_bot)
    trust = sa.Column("trust", types.Text, nullable=False, server_default="open")
    op.add_column("events", trust)
