"""The tables. Primary key columns come first, so that a row begins with its key.

`sinks.sql.types` defines how each type is stored. Durations are in milliseconds.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import Connection, Index, Integer, LargeBinary, MetaData, Table, event, false, text
from sqlmodel import Field, SQLModel

from sinks.sql.types import IS_CONSTANT, Amount, BigInt, Flag, JsonText, Text, UtcTime, UuidText

_STRICT = {"sqlite_strict": True}

#: The alerts in lists and streams; the others repeat a payment for a single subscription. SQL text,
#: so that the planners of both engines match it to the partial indexes below.
LISTED_ALERTS = text("(subscription_id IS NULL OR rule <> 'payment')")
_ONLY_LISTED: dict[str, Any] = {"sqlite_where": LISTED_ALERTS, "postgresql_where": LISTED_ALERTS}


class _Table(SQLModel):
    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        }
    )


def _epoch() -> Any:
    """Return a column for the epoch of a Kafka cluster (ADR 43); older rows have epoch 0."""
    return Field(sa_type=Integer, sa_column_kwargs={"server_default": text("0")})


def _trust() -> Any:
    """Return a column for the trust in an event; older rows are `open`."""
    return Field(sa_type=Text, sa_column_kwargs={"server_default": "open"})


def _constant() -> Any:
    """Return a text column that later revisions of the row do not overwrite."""
    return Field(sa_type=Text, sa_column_kwargs={"info": {IS_CONSTANT: True}})


class EventRow(_Table, table=True):
    """One accepted event. `truncated` lists the truncated fields, or is null."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "site_id", "event_ts"), _STRICT)

    event_id: str = Field(sa_type=UuidText, primary_key=True)
    site_id: str = Field(sa_type=Text, primary_key=True)
    session_id: str = Field(sa_type=Text, primary_key=True)
    visitor_id: str | None = Field(sa_type=Text)
    user_id: str | None = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    event_ts: datetime = Field(sa_type=UtcTime)
    received_at: datetime = Field(sa_type=UtcTime)
    time_source: str = Field(sa_type=Text)
    url: str | None = Field(sa_type=Text)
    path: str | None = Field(sa_type=Text)
    hostname: str | None = Field(sa_type=Text)
    title: str | None = Field(sa_type=Text)
    referrer: str | None = Field(sa_type=Text)
    language: str | None = Field(sa_type=Text)
    user_agent: str | None = Field(sa_type=Text)
    screen: Any = Field(sa_type=JsonText, nullable=True)
    utm: Any = Field(sa_type=JsonText, nullable=True)
    ad_click_ids: Any = Field(sa_type=JsonText, nullable=True)
    duration_ms: int | None = Field(sa_type=BigInt)
    event_name: str | None = Field(sa_type=Text)
    properties: Any = Field(sa_type=JsonText, nullable=True)
    vitals: Any = Field(sa_type=JsonText, nullable=True)
    error_name: str | None = Field(sa_type=Text)
    error_message: str | None = Field(sa_type=Text)
    error_stack: str | None = Field(sa_type=Text)
    provider: str | None = Field(sa_type=Text)
    amount: Decimal | None = Field(sa_type=Amount)
    currency: str | None = Field(sa_type=Text)
    extra: Any = Field(sa_type=JsonText, nullable=True)
    truncated: Any = Field(sa_type=JsonText, nullable=True)
    kafka_partition: int = Field(sa_type=Integer)
    kafka_offset: int = Field(sa_type=BigInt)
    kafka_epoch: int = _epoch()
    browser: str | None = Field(sa_type=Text)
    browser_version: str | None = Field(sa_type=Text)
    os: str | None = Field(sa_type=Text)
    device: str | None = Field(sa_type=Text)
    is_bot: bool = Field(sa_type=Flag, sa_column_kwargs={"server_default": false()})
    country: str | None = Field(sa_type=Text)
    region: str | None = Field(sa_type=Text)
    source: str | None = Field(sa_type=Text)
    channel: str | None = Field(sa_type=Text)
    trust: str = _trust()
    excluded: str | None = Field(sa_type=Text)


class SessionRow(_Table, table=True):
    """The latest revision of one visit."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_site_id_started_at", "site_id", "started_at", "visit_id"),
        Index("ix_sessions_site_id_state", "site_id", "state", "started_at", "visit_id"),
        # For erasures.
        Index(None, "site_id", "session_id"),
        _STRICT,
    )

    visit_id: str = Field(sa_type=UuidText, primary_key=True)
    # The visit id is derived from both.
    site_id: str = _constant()
    session_id: str = _constant()
    visitor_id: str | None = Field(sa_type=Text)
    user_id: str | None = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=UtcTime)
    ended_at: datetime = Field(sa_type=UtcTime)
    duration_ms: int = Field(sa_type=BigInt)
    events: int = Field(sa_type=BigInt)
    pageviews: int = Field(sa_type=BigInt)
    entry_path: str | None = Field(sa_type=Text)
    exit_path: str | None = Field(sa_type=Text)
    referrer: str | None = Field(sa_type=Text)
    utm_source: str | None = Field(sa_type=Text)
    utm_medium: str | None = Field(sa_type=Text)
    utm_campaign: str | None = Field(sa_type=Text)
    source: str | None = Field(sa_type=Text)
    channel: str | None = Field(sa_type=Text)
    country: str | None = Field(sa_type=Text)
    region: str | None = Field(sa_type=Text)
    browser: str | None = Field(sa_type=Text)
    os: str | None = Field(sa_type=Text)
    device: str | None = Field(sa_type=Text)
    trust: str = _trust()
    bounced: bool = Field(sa_type=Flag)
    errors: int = Field(sa_type=BigInt)
    payments: int = Field(sa_type=BigInt)
    state: str = Field(sa_type=Text)
    close_reason: str | None = Field(sa_type=Text)
    revision: int = Field(sa_type=BigInt)


class PageDurationRow(_Table, table=True):
    """Time on one page in one hour, per partition and generation.

    The key has `sinks.rows.path_hash`, because a path can exceed the size of an index entry.
    """

    __tablename__ = "page_durations"
    __table_args__ = _STRICT

    site_id: str = Field(sa_type=Text, primary_key=True)
    hour: datetime = Field(sa_type=UtcTime, primary_key=True)
    path_hash: int = Field(sa_type=BigInt, primary_key=True)
    partition: int = Field(sa_type=Integer, primary_key=True)
    generation: int = Field(sa_type=BigInt, primary_key=True)
    path: str = Field(sa_type=Text)
    leaves: int = Field(sa_type=BigInt)
    total_ms: int = Field(sa_type=BigInt)
    min_ms: int = Field(sa_type=BigInt)
    max_ms: int = Field(sa_type=BigInt)
    sketch: bytes = Field(sa_type=LargeBinary)
    revision: int = Field(sa_type=BigInt)


class AlertRow(_Table, table=True):
    """One alert. `seq` increases with each insertion: see `AlertSequenceRow`.

    `subscription_id` is set if the threshold of a subscription raised the alert. Otherwise the
    alert is delivered to each subscription of the site that matches.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index(None, "site_id", "seq", unique=True, **_ONLY_LISTED),
        Index("ix_alerts_site_id_raised_at", "site_id", "raised_at", "seq", **_ONLY_LISTED),
        Index("ix_alerts_site_id_rule", "site_id", "rule", "raised_at", "seq", **_ONLY_LISTED),
        # Includes unlisted alerts; for the retention.
        Index("ix_alerts_site_id_raised_at_all", "site_id", "raised_at"),
        _STRICT,
    )

    alert_id: str = Field(sa_type=UuidText, primary_key=True)
    site_id: str = Field(sa_type=Text)
    rule: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    title: str = Field(sa_type=Text)
    details: Any = Field(sa_type=JsonText, nullable=False)
    raised_at: datetime = Field(sa_type=UtcTime)
    event_id: str | None = Field(sa_type=UuidText)
    subscription_id: str | None = Field(sa_type=UuidText)
    seq: int = Field(sa_type=BigInt)


class AlertSequenceRow(_Table, table=True):
    """The last assigned `seq`, in a single row that is locked until the commit (ADR 5)."""

    __tablename__ = "alert_sequence"
    __table_args__ = _STRICT

    name: str = Field(sa_type=Text, primary_key=True)
    last_seq: int = Field(sa_type=BigInt)


class ConsumerOffsetRow(_Table, table=True):
    """The next offset to store of one partition; it fences zombie writers (design D10)."""

    __tablename__ = "consumer_offsets"
    __table_args__ = _STRICT

    app: str = Field(sa_type=Text, primary_key=True)
    topic: str = Field(sa_type=Text, primary_key=True)
    partition: int = Field(sa_type=Integer, primary_key=True)
    next_offset: int = Field(sa_type=BigInt)
    cluster_id: str = Field(sa_type=Text)
    updated_at: datetime = Field(sa_type=UtcTime)
    kafka_epoch: int = _epoch()


class ErasedHourRow(_Table, table=True):
    """An hour of page durations that include erased page leaves; see `sinks.sql.erasure`."""

    __tablename__ = "erased_hours"
    __table_args__ = _STRICT

    site_id: str = Field(sa_type=Text, primary_key=True)
    hour: datetime = Field(sa_type=UtcTime, primary_key=True)


class RetentionRow(_Table, table=True):
    """Until when the rows of `events`, `sessions` or `alerts` may have been purged; null: never."""

    __tablename__ = "retention"
    __table_args__ = _STRICT

    name: str = Field(sa_type=Text, primary_key=True)
    purged_until: datetime | None = Field(sa_type=UtcTime)


class TokenRow(_Table, table=True):
    """An access token; only its hash is stored.

    `sites` is a list of site ids, or `"*"` for all; `scope` is `read` or `manage`.
    """

    __tablename__ = "tokens"
    __table_args__ = (
        Index(None, "token_hash", unique=True),
        Index(None, "created_at", "token_id"),
        _STRICT,
    )

    token_id: str = Field(sa_type=UuidText, primary_key=True)
    token_hash: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    sites: Any = Field(sa_type=JsonText, nullable=False)
    scope: str = Field(sa_type=Text, sa_column_kwargs={"server_default": "read"})
    created_at: datetime = Field(sa_type=UtcTime)
    revoked_at: datetime | None = Field(sa_type=UtcTime)


class SiteRow(_Table, table=True):
    """A registered site, written to Kafka first (`schemas.records.Site`)."""

    __tablename__ = "sites"
    __table_args__ = _STRICT

    site_id: str = Field(sa_type=Text, primary_key=True)
    origins: Any = Field(sa_type=JsonText, nullable=False)
    require_key: Any = Field(sa_type=JsonText, nullable=True)
    events_per_second: int | None = Field(sa_type=BigInt)
    counts_bots: bool = Field(sa_type=Flag)
    derives_visitors: bool = Field(sa_type=Flag)
    honours_opt_out: bool = Field(sa_type=Flag)
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)


class SiteKeyRow(_Table, table=True):
    """A key of a registered site; only its SHA-256 is stored."""

    __tablename__ = "site_keys"
    __table_args__ = (Index(None, "site_id"), _STRICT)

    key_id: str = Field(sa_type=UuidText, primary_key=True)
    site_id: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    key_hash: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)


class BlockedIdRow(_Table, table=True):
    """A blocked visitor or user of a site, as a hash, written to Kafka only (`BlockedId`)."""

    __tablename__ = "blocked_ids"
    __table_args__ = _STRICT

    site_id: str = Field(sa_type=Text, primary_key=True)
    hash: str = Field(sa_type=Text, primary_key=True)
    created_at: datetime = Field(sa_type=UtcTime)


class SubscriptionRow(_Table, table=True):
    """A subscription to alerts. All but the channel and the secret is written to Kafka first."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(None, "site_id", "created_at", "subscription_id"),
        Index(None, "created_at", "subscription_id"),
        _STRICT,
    )

    subscription_id: str = Field(sa_type=UuidText, primary_key=True)
    site_id: str = Field(sa_type=Text)
    rule: str = Field(sa_type=Text)
    params: Any = Field(sa_type=JsonText, nullable=False)
    channel_type: str = Field(sa_type=Text)
    url: str = Field(sa_type=Text)
    secret: str = Field(sa_type=Text)
    cooldown_seconds: int = Field(sa_type=Integer)
    enabled: bool = Field(sa_type=Flag)
    disabled_reason: str | None = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    updated_at: datetime = Field(sa_type=UtcTime)


class DeliveryRow(_Table, table=True):
    """One message to one subscription, inserted with its alert (transactional outbox).

    `state` is `pending`, `delivered`, `failed` or `cancelled`. `alert_id` is null for test
    deliveries and digests. `attempts` counts all started attempts, `step` the failed ones of the
    current schedule. `next_attempt_at` is null unless pending; during an attempt it is the expiry
    of the lease. `raised_at` is the alert's.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(None, "state", "subscription_id", "next_attempt_at"),
        Index(None, "subscription_id", "created_at", "delivery_id"),
        Index(None, "subscription_id", "raised_at"),
        _STRICT,
    )

    delivery_id: str = Field(sa_type=UuidText, primary_key=True)
    subscription_id: str = Field(sa_type=UuidText)
    site_id: str = Field(sa_type=Text)
    alert_id: str | None = Field(sa_type=UuidText)
    rule: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    raised_at: datetime = Field(sa_type=UtcTime)
    body: Any = Field(sa_type=JsonText, nullable=False)
    state: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=Integer)
    step: int = Field(sa_type=Integer)
    next_attempt_at: datetime | None = Field(sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)
    delivered_at: datetime | None = Field(sa_type=UtcTime)


class DeliveryAttemptRow(_Table, table=True):
    """One attempt: the HTTP status or the error. The response body is never stored."""

    __tablename__ = "delivery_attempts"
    __table_args__ = _STRICT

    delivery_id: str = Field(sa_type=UuidText, primary_key=True)
    attempt: int = Field(sa_type=Integer, primary_key=True)
    at: datetime = Field(sa_type=UtcTime)
    status: int | None = Field(sa_type=Integer)
    error: str | None = Field(sa_type=Text)
    duration_ms: int | None = Field(sa_type=Integer)


METADATA = _Table.metadata


def table_of(model: type[SQLModel]) -> Table:
    """Return the table of a model."""
    table: Table = model.__table__  # type: ignore[attr-defined] # SQLModel sets it, untyped
    return table


#: View definitions by name, in SQL for both engines.
VIEWS = {
    "page_durations_hourly": """
        SELECT site_id, path, hour,
            CAST(SUM(leaves) AS BIGINT) AS leaves,
            CAST(SUM(total_ms) AS BIGINT) AS total_ms,
            CAST(SUM(total_ms) AS DOUBLE PRECISION) / NULLIF(SUM(leaves), 0) AS avg_ms,
            MIN(min_ms) AS min_ms,
            MAX(max_ms) AS max_ms
        FROM page_durations
        GROUP BY site_id, hour, path
    """,
}


@event.listens_for(METADATA, "after_create")
def _create_views(_target: MetaData, connection: Connection, **_: Any) -> None:
    for name, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
