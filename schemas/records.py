"""The records of the topics, one class for each Avro schema in `avro/`.

Times are integers: microseconds since 1970 (UTC) if the name ends in `_at` or `_ts` or is `hour`,
milliseconds if it ends in `_ms`. A contract test ensures that names, order and defaults equal the
schema's. `gc=False` saves a tenth of the time per event and 16 bytes; records have no cycles.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

TimeSource = Literal["client", "clamped", "server"]
VisitState = Literal["open", "closed", "withdrawn"]
CloseReason = Literal["idle", "merged"]
#: How an event was authenticated: by a site key, by an allowed origin, or not at all.
Trust = Literal["key", "origin", "open"]


class Screen(Struct, gc=False):
    """The visitor's screen, in pixels."""

    width: int | None = None
    height: int | None = None
    viewport_width: int | None = None
    viewport_height: int | None = None
    pixel_ratio: float | None = None


class Utm(Struct, gc=False):
    """Campaign parameters (`utm_*`)."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    term: str | None = None
    content: str | None = None


class RawEvent(Struct, kw_only=True, gc=False):
    """An accepted event.

    The server derives the fields from `browser` on. `excluded` is the reason why the event is
    stored but not counted in sessions, durations, live counters and alerts: `bot`, or None.
    """

    event_id: str
    type: str
    site_id: str
    session_id: str
    visitor_id: str | None = None
    user_id: str | None = None
    received_at: int
    event_ts: int
    time_source: TimeSource
    url: str | None = None
    path: str | None = None
    hostname: str | None = None
    title: str | None = None
    referrer: str | None = None
    language: str | None = None
    user_agent: str | None = None
    screen: Screen | None = None
    utm: Utm | None = None
    ad_click_ids: dict[str, str] | None = None
    duration_ms: int | None = None
    event_name: str | None = None
    properties: str | None = None
    vitals: dict[str, float] | None = None
    error_name: str | None = None
    error_message: str | None = None
    error_stack: str | None = None
    provider: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    extra: str | None = None
    truncated: list[str] = []
    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    device: str | None = None
    is_bot: bool = False
    country: str | None = None
    region: str | None = None
    source: str | None = None
    channel: str | None = None
    trust: str = "open"
    excluded: str | None = None


class Stamped(Struct, frozen=True, gc=False):
    """A string with the trust, timestamp and id of its event, which define the order of values."""

    value: str
    ts: int
    event_id: str
    trust: str = "open"


class TrafficSource(Struct, kw_only=True, frozen=True, gc=False):
    """The traffic source of an event, ordered as `Stamped`."""

    source: str | None = None
    channel: str | None = None
    ts: int
    event_id: str
    trust: str


class VisitorClient(Struct, kw_only=True, frozen=True, gc=False):
    """The place and the device of an event's visitor, ordered as `Stamped`."""

    country: str | None = None
    region: str | None = None
    browser: str | None = None
    os: str | None = None
    device: str | None = None
    ts: int
    event_id: str
    trust: str


class Visit(Struct, kw_only=True, gc=False):
    """A session window: a maximal run of events without an inactivity gap (design D9).

    `hosts` are the site's own hosts in its events, without `www.`; those of vouched events have the
    prefix `key:` or `origin:` (`streams.domain.sessions.referrers`). `spare_referrers` are later
    referrers, which replace `referrer` if it turns out to be one of these hosts.
    `trust` is the highest trust of its events.
    """

    visit_id: str
    began_offset: int
    started_at: int
    ended_at: int
    last_log_ms: int
    state: VisitState
    close_reason: CloseReason | None = None
    revision: int
    events: int
    pageviews: int
    errors: int
    payments: int
    engagements: int
    entry: Stamped | None = None
    exit: Stamped | None = None
    visitor_id: Stamped | None = None
    user_id: Stamped | None = None
    referrer: Stamped | None = None
    utm_source: Stamped | None = None
    utm_medium: Stamped | None = None
    utm_campaign: Stamped | None = None
    leaving: bool = False
    hosts: list[str] = []
    spare_referrers: list[Stamped] = []
    traffic_source: TrafficSource | None = None
    client: VisitorClient | None = None
    trust: str = "open"

    @property
    def is_passive(self) -> bool:
        """True if all events are passive: not a visit yet, but a later event may make it one."""
        return not (self.pageviews or self.engagements)


class SessionState(Struct, kw_only=True, gc=False):
    """The visits of one session: keyed state and result in one record (design D5).

    A state without visits is that of an erased session: consumers delete its rows.
    """

    site_id: str
    session_id: str
    src_offset: int
    visits: list[Visit]


class FlatVisit(Struct, kw_only=True, frozen=True, gc=False):
    """A visit without nested fields, with the columns of the SQL table `sessions`, in their order.

    Strings replace enums, and times are in milliseconds: types that Kafka Connect and Flink SQL
    read (ADR 71).
    """

    visit_id: str
    site_id: str
    session_id: str
    visitor_id: str | None = None
    user_id: str | None = None
    started_ms: int
    ended_ms: int
    duration_ms: int
    events: int
    pageviews: int
    entry_path: str | None = None
    exit_path: str | None = None
    referrer: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    source: str | None = None
    channel: str | None = None
    country: str | None = None
    region: str | None = None
    browser: str | None = None
    os: str | None = None
    device: str | None = None
    trust: str
    bounced: bool
    errors: int
    payments: int
    state: str
    close_reason: str | None = None
    revision: int


class PageDuration(Struct, kw_only=True, gc=False):
    """Time on one page in one hour of event time, from the events of one partition."""

    site_id: str
    hour: int
    path: str
    partition: int
    generation: int
    revision: int
    src_offset: int
    last_log_ms: int
    leaves: int
    total_ms: int
    min_ms: int
    max_ms: int
    sketch: bytes
    candidates: bytes | None = None


class AlertState(Struct, kw_only=True, gc=False):
    """The state of one alert rule for one subject.

    `slot_ms` and `slot_counts` have the same length.
    """

    site_id: str
    rule: str
    subject: str
    applied: dict[str, int]
    seen_ms: int
    window_ms: int = 0
    count: int = 0
    raised_ms: int | None = None
    slot_ms: list[int] = []
    slot_counts: list[int] = []
    raised: list[str] = []
    unseen: list[str] = []
    unseen_event_id: str = ""
    unseen_titles: list[str] = []
    digest_ms: int = 0


class Alert(Struct, kw_only=True, gc=False):
    """A raised alert."""

    alert_id: str
    site_id: str
    rule: str
    subject: str
    title: str
    details: str
    event_id: str | None = None
    raised_at: int
    subscription_id: str | None = None


class SecondCount(Struct, frozen=True, gc=False):
    """Events of one second since 1970, by type."""

    second: int
    types: dict[str, int]


class MinuteCount(Struct, frozen=True, gc=False):
    """Events of one minute since 1970."""

    minute: int
    events: int


class PageCount(Struct, frozen=True, gc=False):
    """The active sessions on one page."""

    name: str
    sessions: int


class ReferrerCount(Struct, frozen=True, gc=False):
    """The active sessions from one referrer host."""

    name: str
    sessions: int


class CountryCount(Struct, frozen=True, gc=False):
    """The active sessions from one country."""

    name: str
    sessions: int


class DeviceCount(Struct, frozen=True, gc=False):
    """The active sessions on one kind of device."""

    name: str
    sessions: int


class SourceCount(Struct, frozen=True, gc=False):
    """The active sessions from one traffic source."""

    name: str
    sessions: int


class LatestEvent(Struct, frozen=True, gc=False):
    """One of the latest events; `detail` is its most informative field."""

    at_ms: int
    type: str
    detail: str


class LiveCounters(Struct, kw_only=True, gc=False):
    """The live counters of one site and partition; `schemas.live` has the windows.

    The newest record of a site and partition replaces the previous one. Records are repeated while
    their worker is alive. Absent counters are zero. `visitors` is an HLL sketch of Apache
    DataSketches (`schemas.visitor_sketch`), or empty. Records without a value report up to when
    counters are complete, in the header `counted` (`schemas.headers.unpack_counted`).
    """

    site_id: str
    partition: int
    at_ms: int
    seconds: list[SecondCount]
    minutes: list[MinuteCount]
    sessions: int
    visitors: bytes
    pages: list[PageCount]
    referrers: list[ReferrerCount]
    latest: list[LatestEvent] = []
    countries: list[CountryCount] = []
    devices: list[DeviceCount] = []
    sources: list[SourceCount] = []


class Subscription(Struct, kw_only=True, gc=False):
    """An alert subscription, without its secret, which is only in SQL."""

    subscription_id: str
    site_id: str
    rule: str
    params: str
    cooldown_seconds: int
    enabled: bool
    updated_at: int


class Replay(Struct, kw_only=True, gc=False):
    """A dead letter that was replayed or discarded.

    `src_offset` is the offset of the replay in `events-raw`; -1 if it was discarded.
    """

    stage: str
    origin: str
    src_offset: int
    log_ms: int
    discard_reason: str | None = None
    discarded_by: str | None = None


class ImportWindow(Struct, kw_only=True, gc=False):
    """A period in which a site's events may have timestamps of any age."""

    site_id: str
    window_id: str
    ends_at: int
    updated_at: int


class SiteKey(Struct, kw_only=True, gc=False):
    """A site key; `hash` is the SHA-256 of the key in hex. The key itself is not stored."""

    key_id: str
    name: str
    hash: str
    created_at: int


class Site(Struct, kw_only=True, gc=False):
    """A registered site: who may send its events, and how they are derived and counted.

    Without `origins`, pages of all origins may send events. `require_key` are the event types that
    need a key; None means payments, if the site has keys. Without `events_per_second`, there is
    no limit.
    """

    site_id: str
    origins: list[str] = []
    require_key: list[str] | None = None
    events_per_second: int | None = None
    counts_bots: bool = False
    derives_visitors: bool = True
    honours_opt_out: bool = True
    keys: list[SiteKey] = []
    created_at: int
    updated_at: int


class BlockedId(Struct, kw_only=True, gc=False):
    """An erased visitor or user of a site, as a hash (`schemas.blocked_ids`)."""

    site_id: str
    hash: str
    created_at: int


class ClusterEpoch(Struct, kw_only=True, gc=False):
    """The epoch of a Kafka cluster that a database adopted (ADR 43)."""

    cluster_id: str
    epoch: int
    adopted_at: int


class Salt(Struct, kw_only=True, gc=False):
    """The salt of the visitor ids that are derived on one UTC day, `YYYY-MM-DD` (ADR 64)."""

    day: str
    salt: bytes
    created_at: int


class RejectionCount(Struct, gc=False):
    """Events of a site that access control rejected; `site_id` "": of sites not registered."""

    site_id: str
    reason: str
    events: int


class ProcessStatus(Struct, kw_only=True, gc=False):
    """What a process reports about itself. `stopped` is True in its last record."""

    process_id: str
    role: str
    host: str
    pid: int
    version: str
    started_at: int
    stopped: bool = False
    not_ready: str | None = None
    counters: dict[str, int] = {}
    rejections: list[RejectionCount] = []


Record = (
    RawEvent
    | SessionState
    | FlatVisit
    | PageDuration
    | AlertState
    | Alert
    | LiveCounters
    | Subscription
    | Replay
    | ImportWindow
    | ClusterEpoch
    | Salt
    | BlockedId
    | Site
    | ProcessStatus
)
