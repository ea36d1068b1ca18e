"""The first tables: events, sessions, page durations, alerts, and how far each partition is."""

import sqlalchemy as sa
from alembic import op

from sinks.sql import types
from sinks.sql.migrations.columns import create_table, optional, required

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_events()
    _create_sessions()
    _create_page_durations()
    _create_alerts()
    create_table(
        "consumer_offsets",
        ("app", "topic", "partition"),
        *required(sa.Text(), "app", "topic"),
        *required(sa.Integer(), "partition"),
        *required(types.BigInt, "next_offset"),
        *required(sa.Text(), "cluster_id"),
        *required(types.UtcTime(), "updated_at"),
    )


def _create_events() -> None:
    create_table(
        "events",
        ("event_id", "site_id", "session_id"),
        *required(types.UuidText(), "event_id"),
        *required(sa.Text(), "site_id", "session_id"),
        *optional(sa.Text(), "visitor_id", "user_id"),
        *required(sa.Text(), "type"),
        *required(types.UtcTime(), "event_ts", "received_at"),
        *required(sa.Text(), "time_source"),
        *optional(
            sa.Text(), "url", "path", "hostname", "title", "referrer", "language", "user_agent"
        ),
        *optional(types.JsonText(), "screen", "utm", "ad_click_ids"),
        *optional(types.BigInt, "duration_ms"),
        *optional(sa.Text(), "event_name"),
        *optional(types.JsonText(), "properties", "vitals"),
        *optional(sa.Text(), "error_name", "error_message", "error_stack", "provider"),
        # Until 0003 a double on SQLite.
        *optional(sa.Numeric(25, 6).with_variant(sa.REAL(), "sqlite"), "amount"),
        *optional(sa.Text(), "currency"),
        *optional(types.JsonText(), "extra", "truncated"),
        *required(sa.Integer(), "kafka_partition"),
        *required(types.BigInt, "kafka_offset"),
    )
    op.create_index("ix_events_site_id_event_ts", "events", ["site_id", "event_ts"])


def _create_sessions() -> None:
    create_table(
        "sessions",
        ("visit_id",),
        *required(types.UuidText(), "visit_id"),
        *required(sa.Text(), "site_id", "session_id"),
        *optional(sa.Text(), "visitor_id", "user_id"),
        *required(types.UtcTime(), "started_at", "ended_at"),
        *required(types.BigInt, "duration_ms", "events", "pageviews"),
        *optional(
            sa.Text(),
            "entry_path",
            "exit_path",
            "referrer",
            "utm_source",
            "utm_medium",
            "utm_campaign",
        ),
        *required(types.Flag(), "bounced"),
        *required(types.BigInt, "errors", "payments"),
        *required(sa.Text(), "state"),
        *optional(sa.Text(), "close_reason"),
        *required(types.BigInt, "revision"),
    )
    op.create_index("ix_sessions_site_id_started_at", "sessions", ["site_id", "started_at"])


def _create_page_durations() -> None:
    create_table(
        "page_durations",
        ("site_id", "hour", "path_hash", "partition", "generation"),
        *required(sa.Text(), "site_id"),
        *required(types.UtcTime(), "hour"),
        *required(types.BigInt, "path_hash"),
        *required(sa.Integer(), "partition"),
        *required(types.BigInt, "generation"),
        *required(sa.Text(), "path"),
        *required(types.BigInt, "leaves", "total_ms", "min_ms", "max_ms"),
        *required(sa.LargeBinary(), "sketch"),
        *required(types.BigInt, "revision"),
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
    create_table(
        "alerts",
        ("alert_id",),
        *required(types.UuidText(), "alert_id"),
        *required(sa.Text(), "site_id", "rule", "subject", "title"),
        *required(types.JsonText(), "details"),
        *required(types.UtcTime(), "raised_at"),
        *optional(types.UuidText(), "event_id"),
        *required(types.BigInt, "seq"),
    )
    op.create_index("ix_alerts_site_id_seq", "alerts", ["site_id", "seq"], unique=True)
    create_table(
        "alert_sequence",
        ("name",),
        *required(sa.Text(), "name"),
        *required(types.BigInt, "last_seq"),
    )
