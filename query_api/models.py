"""Models of request and response bodies, which are also the OpenAPI schemas."""

from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, Field

from schemas.alert_rules import RULES
from schemas.event_types import EVENT_TYPES
from schemas.live import LATEST_EVENTS, LIVE_MINUTES
from schemas.records import Trust, VisitState
from sinks.delivery.subscription_spec import Channel, RequestBody
from sinks.sites.spec import SiteChange
from sinks.sql.digests import MAX_DIGEST_ALERTS

T = TypeVar("T")

#: Maximum duration of an import window.
MAX_WINDOW_SECONDS = 86_400
_QUANTILE = (
    "The shortest duration that at least {} of the page leaves do not exceed (nearest rank), "
    "within 1 % and between min_ms and max_ms."
)

# Drivers return ids as strings or as UUIDs.
Id = Annotated[str, BeforeValidator(str), Field(json_schema_extra={"format": "uuid"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Rule = Annotated[str, Field(description=", ".join(RULES))]


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last.")


class ErrorBody(BaseModel):
    """An error."""

    error: str = Field(description="A human-readable message.")
    code: str
    field: str = Field(default="", description="The invalid parameter or field.")


class Site(BaseModel):
    """A site that the token can read."""

    site_id: str


class SiteKey(BaseModel):
    """A site key, without the key itself."""

    key_id: Id
    name: str
    created_at: Time


class CreatedSiteKey(SiteKey):
    """A new site key."""

    key: str = Field(description="hrk_…; only in this response. Only its hash is stored.")


class SiteKeys(BaseModel):
    """The keys of a site: a page, which is always the last."""

    items: list[SiteKey]
    next_cursor: None


class RegisteredSite(SiteChange):
    """A registered site."""

    site_id: str
    keys: list[SiteKey]
    created_at: Time
    updated_at: Time


class PagePath(BaseModel):
    """A page with active sessions."""

    path: str
    sessions: int


class Referrer(BaseModel):
    """A referrer host of active sessions."""

    host: str
    sessions: int


class Country(BaseModel):
    """A country of active sessions."""

    country: str = Field(description="ISO 3166-1 alpha-2.")
    sessions: int


class Device(BaseModel):
    """A kind of device of active sessions."""

    device: str = Field(description="desktop, mobile, tablet, tv, console, wearable or other.")
    sessions: int


class TrafficSource(BaseModel):
    """A traffic source of active sessions."""

    source: str = Field(description="Such as Google.")
    sessions: int


class LatestEvent(BaseModel):
    """One of the latest events."""

    at: Time
    type: str
    detail: str


class Live(BaseModel):
    """The live counters of a site."""

    site_id: str
    at: Time
    visitors_now: int = Field(description="Visitors with events received in the last 5 minutes.")
    sessions_now: int = Field(description="Sessions with events received in the last 5 minutes.")
    events_last_minute: dict[str, int] = Field(
        description=f"Events by type: {', '.join(EVENT_TYPES)}."
    )
    per_minute: list[int] = Field(
        min_length=LIVE_MINUTES,
        max_length=LIVE_MINUTES,
        description="Events of each of the last minutes, oldest first.",
    )
    pages: list[PagePath]
    referrers: list[Referrer]
    countries: list[Country]
    devices: list[Device]
    sources: list[TrafficSource]
    latest: list[LatestEvent] = Field(
        default=[], description=f"With latest=1: the latest {LATEST_EVENTS} events."
    )
    stalled_since: Time | None = Field(
        default=None,
        description="The time until which the counters are complete, if they are not up to date.",
    )


class Alert(BaseModel):
    """An alert."""

    alert_id: Id
    site_id: str
    rule: Rule
    subject: str = Field(description="The session of a payment, or the fingerprint of an error.")
    title: str
    details: dict[str, Any] = Field(
        description="For a payment: `amount`, an exact decimal string with at least the decimals "
        "of its currency (ISO 4217; `49.90`, `1000` for JPY), and `currency`."
    )
    event_id: Id | None
    raised_at: Time
    subscription_id: Id | None = Field(
        default=None, description="The subscription whose threshold raised it."
    )
    seq: int = Field(description="Increasing; the id of events in the stream.")


class Digest(BaseModel):
    """Alerts that exceeded the delivery limit of a subscription in an interval."""

    subscription_id: Id
    site_id: str
    rule: Rule
    count: int = Field(description="Number of alerts in the digest.")
    first_raised_at: Time
    last_raised_at: Time
    first_seq: int
    last_seq: int = Field(description="The alerts have a seq from first_seq to last_seq.")
    alerts: list[Alert] = Field(max_length=MAX_DIGEST_ALERTS, description="The newest alerts.")


class Visit(BaseModel):
    """A visit: a run of events of one session without an inactivity gap."""

    visit_id: Id
    site_id: str
    session_id: str
    visitor_id: str | None
    user_id: str | None
    started_at: Time
    ended_at: Time
    duration_ms: int
    events: int
    pageviews: int
    entry_path: str | None
    exit_path: str | None
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    source: str | None = Field(description="The traffic source, such as Google.")
    channel: str | None = Field(description="The channel group, such as Organic Search.")
    country: str | None = Field(description="ISO 3166-1 alpha-2.")
    region: str | None = Field(description="ISO 3166-2.")
    browser: str | None
    os: str | None
    device: str | None
    trust: str = Field(
        description=f"The highest trust of its events: {', '.join(get_args(Trust))}."
    )
    bounced: bool
    errors: int
    payments: int
    state: str = Field(description=", ".join(get_args(VisitState)))
    close_reason: str | None
    revision: int


class PageTime(BaseModel):
    """Time on a page in one hour."""

    site_id: str
    hour: Time
    path: str
    leaves: int
    total_ms: int
    min_ms: int
    max_ms: int
    avg_ms: float | None
    p50_ms: int | float | None = Field(description=_QUANTILE.format("half"))
    p90_ms: int | float | None = Field(description=_QUANTILE.format("90 %"))


class Subscription(BaseModel):
    """A subscription, without its secret."""

    subscription_id: Id
    site_id: str
    rule: Rule
    params: dict[str, Any]
    channel: Channel
    cooldown_seconds: int
    enabled: bool
    disabled_reason: str | None
    created_at: Time
    updated_at: Time


class CreatedSubscription(Subscription):
    """A new subscription, with its secret."""

    secret: str = Field(description="The Standard Webhooks secret, whsec_…; only in this response.")


class ImportWindow(RequestBody):
    """An import window to open."""

    seconds: int = Field(
        ge=1, le=MAX_WINDOW_SECONDS, description="Duration from now.", examples=[120]
    )


class OpenImportWindow(BaseModel):
    """An open import window."""

    site_id: str
    window_id: str
    ends_at: Time


class Attempt(BaseModel):
    """An attempt to deliver."""

    attempt: int
    at: Time
    status: int | None
    error: str | None
    duration_ms: int | None = Field(
        description="Null while the attempt is in progress, and if its process died."
    )


class Delivery(BaseModel):
    """A delivery, with its attempts."""

    delivery_id: Id
    subscription_id: Id
    site_id: str
    type: str = Field(description="alert.raised, alert.digest or test.")
    alert_id: Id | None
    rule: str | None
    subject: str | None
    state: str
    attempts: list[Attempt]
    next_attempt_at: Time | None
    created_at: Time
    delivered_at: Time | None


class PageTokenBody(RequestBody):
    """The token to set as the cookie of the dashboard."""

    token: str


class Message(BaseModel):
    """The body of a webhook."""

    type: Literal["alert.raised", "alert.digest", "test"]
    timestamp: Time
    data: Alert | Digest
