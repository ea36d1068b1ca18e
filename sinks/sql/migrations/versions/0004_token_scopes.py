"""Add the scope of tokens; existing tokens keep their rights, which are those of `manage`."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for processes of the previous version, which insert no scope.
    op.add_column("tokens", sa.Column("scope", sa.Text(), nullable=False, server_default="read"))
    op.execute("UPDATE tokens SET scope = 'manage'")
