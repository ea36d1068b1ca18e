"""Add tokens, subscriptions, and deliveries with their attempts."""

import sqlalchemy as sa
from alembic import op

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, optional, required

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _index(table: str, *columns: str, unique: bool = False) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), unique=unique)


def upgrade() -> None:
    _create_tokens()
    _create_subscriptions()
    _create_deliveries()
    op.add_column("alerts", sa.Column("subscription_id", types.UuidText()))


def _create_tokens() -> None:
    create_table(
        "tokens",
        ("token_id",),
        *required(types.UuidText(), "token_id"),
        *required(sa.Text(), "token_hash", "name"),
        *required(types.JsonText(), "sites"),
        *required(types.UtcTime(), "created_at"),
        *optional(types.UtcTime(), "revoked_at"),
    )
    _index("tokens", "token_hash", unique=True)


def _create_subscriptions() -> None:
    create_table(
        "subscriptions",
        ("subscription_id",),
        *required(types.UuidText(), "subscription_id"),
        *required(sa.Text(), "site_id", "rule"),
        *required(types.JsonText(), "params"),
        *required(sa.Text(), "channel_type", "url", "secret"),
        *required(sa.Integer(), "cooldown_seconds"),
        *required(types.Flag(), "enabled"),
        *optional(sa.Text(), "disabled_reason"),
        *required(types.UtcTime(), "created_at", "updated_at"),
    )
    _index("subscriptions", "site_id", "rule")


def _create_deliveries() -> None:
    create_table(
        "deliveries",
        ("delivery_id",),
        *required(types.UuidText(), "delivery_id", "subscription_id"),
        *required(sa.Text(), "site_id"),
        *optional(types.UuidText(), "alert_id"),
        *required(sa.Text(), "rule", "subject"),
        *required(types.UtcTime(), "raised_at"),
        *required(types.JsonText(), "body"),
        *required(sa.Text(), "state"),
        *required(sa.Integer(), "attempts", "step"),
        *optional(types.UtcTime(), "next_attempt_at"),
        *required(types.UtcTime(), "created_at"),
        *optional(types.UtcTime(), "delivered_at"),
    )
    _index("deliveries", "subscription_id", "state", "next_attempt_at")
    _index("deliveries", "subscription_id", "created_at", "delivery_id")
    _index("deliveries", "subscription_id", "subject", "raised_at")
    create_table(
        "delivery_attempts",
        ("delivery_id", "attempt"),
        *required(types.UuidText(), "delivery_id"),
        *required(sa.Integer(), "attempt"),
        *required(types.UtcTime(), "at"),
        *optional(sa.Integer(), "status"),
        *optional(sa.Text(), "error"),
        *optional(sa.Integer(), "duration_ms"),
    )
