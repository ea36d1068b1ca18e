"""The first tables: events, sessions, page durations, alerts, and how far each partition is."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from sinks.sql import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _required(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _table(name: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    primary = sa.PrimaryKeyConstraint(*key, name=f"pk_{name}")
    op.create_table(name, *columns, primary, sqlite_strict=True)


def upgrade() -> None:
    _create_events()
    _create_sessions()
    _create_page_durations()
    _create_alerts()
    _table(
        "consumer_offsets",
        ("app", "topic", "partition"),
        _required("app", sa.Text()),
        _required("topic", sa.Text()),
        _required("partition", sa.Integer()),
        _required("next_offset", types.BigInt),
        _required("cluster_id", sa.Text()),
        _required("updated_at", types.UtcTime()),
    )


def downgrade() -> None:
    op.execute("DROP VIEW page_durations_hourly")
    for table in (
        "consumer_offsets",
        "alert_sequence",
        "alerts",
        "page_durations",
        "sessions",
        "events",
    ):
        op.drop_table(table)


def _create_events() -> None:
    _table(
        "events",
        ("event_id", "site_id", "session_id"),
        _required("event_id", types.UuidText()),
        _required("site_id", sa.Text()),
        _required("session_id", sa.Text()),
        sa.Column("visitor_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        _required("type", sa.Text()),
        _required("event_ts", types.UtcTime()),
        _required("received_at", types.UtcTime()),
        _required("time_source", sa.Text()),
        sa.Column("url", sa.Text()),
        sa.Column("path", sa.Text()),
        sa.Column("hostname", sa.Text()),
        sa.Column("title", sa.Text()),
        sa.Column("referrer", sa.Text()),
        sa.Column("language", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.Column("screen", types.JsonText()),
        sa.Column("utm", types.JsonText()),
        sa.Column("ad_click_ids", types.JsonText()),
        sa.Column("duration_ms", types.BigInt),
        sa.Column("event_name", sa.Text()),
        sa.Column("properties", types.JsonText()),
        sa.Column("vitals", types.JsonText()),
        sa.Column("error_name", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("error_stack", sa.Text()),
        sa.Column("provider", sa.Text()),
        sa.Column("amount", types.Amount()),
        sa.Column("currency", sa.Text()),
        sa.Column("extra", types.JsonText()),
        sa.Column("truncated", types.JsonText()),
        _required("kafka_partition", sa.Integer()),
        _required("kafka_offset", types.BigInt),
    )
    op.create_index("ix_events_site_id_event_ts", "events", ["site_id", "event_ts"])


def _create_sessions() -> None:
    _table(
        "sessions",
        ("visit_id",),
        _required("visit_id", types.UuidText()),
        _required("site_id", sa.Text()),
        _required("session_id", sa.Text()),
        sa.Column("visitor_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        _required("started_at", types.UtcTime()),
        _required("ended_at", types.UtcTime()),
        _required("duration_ms", types.BigInt),
        _required("events", types.BigInt),
        _required("pageviews", types.BigInt),
        sa.Column("entry_path", sa.Text()),
        sa.Column("exit_path", sa.Text()),
        sa.Column("referrer", sa.Text()),
        sa.Column("utm_source", sa.Text()),
        sa.Column("utm_medium", sa.Text()),
        sa.Column("utm_campaign", sa.Text()),
        _required("bounced", types.Flag()),
        _required("errors", types.BigInt),
        _required("payments", types.BigInt),
        _required("state", sa.Text()),
        sa.Column("close_reason", sa.Text()),
        _required("revision", types.BigInt),
    )
    op.create_index("ix_sessions_site_id_started_at", "sessions", ["site_id", "started_at"])


def _create_page_durations() -> None:
    _table(
        "page_durations",
        ("site_id", "hour", "path_hash", "partition", "generation"),
        _required("site_id", sa.Text()),
        _required("hour", types.UtcTime()),
        _required("path_hash", types.BigInt),
        _required("partition", sa.Integer()),
        _required("generation", types.BigInt),
        _required("path", sa.Text()),
        _required("leaves", types.BigInt),
        _required("total_ms", types.BigInt),
        _required("min_ms", types.BigInt),
        _required("max_ms", types.BigInt),
        _required("sketch", sa.LargeBinary()),
        _required("revision", types.BigInt),
    )
    op.execute("""
        CREATE VIEW page_durations_hourly AS
        SELECT site_id, path, hour,
            CAST(SUM(leaves) AS BIGINT) AS leaves,
            CAST(SUM(total_ms) AS BIGINT) AS total_ms,
            CAST(SUM(total_ms) AS DOUBLE PRECISION) / NULLIF(SUM(leaves), 0) AS avg_ms,
            MIN(min_ms) AS min_ms,
            MAX(max_ms) AS max_ms
        FROM page_durations
        GROUP BY site_id, hour, path
    """)


def _create_alerts() -> None:
    _table(
        "alerts",
        ("alert_id",),
        _required("alert_id", types.UuidText()),
        _required("site_id", sa.Text()),
        _required("rule", sa.Text()),
        _required("subject", sa.Text()),
        _required("title", sa.Text()),
        _required("details", types.JsonText()),
        _required("raised_at", types.UtcTime()),
        sa.Column("event_id", types.UuidText()),
        _required("seq", types.BigInt),
    )
    op.create_index("ix_alerts_site_id_seq", "alerts", ["site_id", "seq"], unique=True)
    _table(
        "alert_sequence",
        ("name",),
        _required("name", sa.Text()),
        _required("last_seq", types.BigInt),
    )
