"""Who may read, who wants to be told, and what is on its way to them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from sinks.sql import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _required(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _table(name: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    primary = sa.PrimaryKeyConstraint(*key, name=f"pk_{name}")
    op.create_table(name, *columns, primary, sqlite_strict=True)


def _index(table: str, *columns: str, unique: bool = False) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), unique=unique)


def upgrade() -> None:
    _create_tokens()
    _create_subscriptions()
    _create_deliveries()
    op.add_column("alerts", sa.Column("subscription_id", types.UuidText()))


def downgrade() -> None:
    op.drop_column("alerts", "subscription_id")
    for table in ("delivery_attempts", "deliveries", "subscriptions", "tokens"):
        op.drop_table(table)


def _create_tokens() -> None:
    _table(
        "tokens",
        ("token_id",),
        _required("token_id", types.UuidText()),
        _required("token_hash", sa.Text()),
        _required("name", sa.Text()),
        _required("sites", types.JsonText()),
        _required("created_at", types.UtcTime()),
        sa.Column("revoked_at", types.UtcTime()),
    )
    _index("tokens", "token_hash", unique=True)


def _create_subscriptions() -> None:
    _table(
        "subscriptions",
        ("subscription_id",),
        _required("subscription_id", types.UuidText()),
        _required("site_id", sa.Text()),
        _required("rule", sa.Text()),
        _required("params", types.JsonText()),
        _required("channel_type", sa.Text()),
        _required("url", sa.Text()),
        _required("secret", sa.Text()),
        _required("cooldown_seconds", sa.Integer()),
        _required("enabled", types.Flag()),
        sa.Column("disabled_reason", sa.Text()),
        _required("created_at", types.UtcTime()),
        _required("updated_at", types.UtcTime()),
    )
    _index("subscriptions", "site_id", "rule")


def _create_deliveries() -> None:
    _table(
        "deliveries",
        ("delivery_id",),
        _required("delivery_id", types.UuidText()),
        _required("subscription_id", types.UuidText()),
        _required("site_id", sa.Text()),
        sa.Column("alert_id", types.UuidText()),
        _required("rule", sa.Text()),
        _required("subject", sa.Text()),
        _required("raised_at", types.UtcTime()),
        _required("body", types.JsonText()),
        _required("state", sa.Text()),
        _required("attempts", sa.Integer()),
        _required("step", sa.Integer()),
        sa.Column("next_attempt_at", types.UtcTime()),
        _required("created_at", types.UtcTime()),
        sa.Column("delivered_at", types.UtcTime()),
    )
    _index("deliveries", "subscription_id", "state", "next_attempt_at")
    _index("deliveries", "subscription_id", "created_at", "delivery_id")
    _index("deliveries", "subscription_id", "subject", "raised_at")
    _table(
        "delivery_attempts",
        ("delivery_id", "attempt"),
        _required("delivery_id", types.UuidText()),
        _required("attempt", sa.Integer()),
        _required("at", types.UtcTime()),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("duration_ms", sa.Integer()),
    )
