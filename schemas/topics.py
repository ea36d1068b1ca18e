"""The Kafka topics: names, keys, records, cleanup and retention.

Names are a public contract and never change: consumers outside this project read the topics.
"""

from dataclasses import dataclass
from typing import Literal

from schemas.topic_prefix import prefixed

Cleanup = Literal["delete", "compact"]

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

#: `min.compaction.lag.ms`: a sink that was down for a day still reads the last value of a state
#: that has since been deleted (docs/adr/0019).
MIN_COMPACTION_LAG_MS = _DAY_MS
#: `segment.ms`. The active segment is never compacted; Kafka's default is a week.
_SEGMENT_MS = 6 * _HOUR_MS

#: `retention.ms` of `events-raw` and of routed events, equal so that both expire together while
#: `streams` is down.
_EVENTS_MS = 7 * _DAY_MS

#: `max.message.bytes` of every topic. Events have at most 64 KiB; the state of a key with its 64
#: visits is smaller than this, too.
MAX_RECORD_BYTES = 2 * 1024 * 1024

#: The size of the record batches that are written, and what a fetch returns of a partition. A fetch
#: has a batch that is larger only if it is the first one, so only one partition (docs/adr/0099).
RECORD_BATCH_BYTES = 512 * 1024

#: Topic configs that a cluster may reject, with the consequence of another value.
OPTIONAL_CONFIGS = {
    "min.compaction.lag.ms": "a role that was down for long may miss deleted states",
    "segment.ms": "compaction starts later, so the topic needs more disk space",
    "min.insync.replicas": "acknowledged records may be lost with a broker",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its name, key format, Avro record and cleanup policy.

    With `retention_ms`, a compacted topic keeps the last record of each key for that long,
    otherwise forever.

    Timestamps are `LogAppendTime`, so stream time and retention depend on the broker's clock only.
    With `CreateTime`, it would reject batches of clients whose clock is an hour ahead.
    """

    #: The name without the topic prefix.
    base_name: str
    about: str
    key: str
    record: str
    cleanup: Cleanup = "delete"
    retention_ms: int | None = None
    #: `min.compaction.lag.ms`.
    compaction_lag_ms: int = MIN_COMPACTION_LAG_MS
    #: Whether every reader reads all partitions. Such a topic keeps its number of partitions when
    #: the others get more (docs/adr/0074).
    is_global: bool = False

    @property
    def name(self) -> str:
        """The name in Kafka, with the topic prefix."""
        return prefixed(self.base_name)

    def required_configs(self) -> dict[str, str]:
        """Return the topic configs without those of `OPTIONAL_CONFIGS`."""
        return {
            name: value for name, value in self.configs().items() if name not in OPTIONAL_CONFIGS
        }

    def configs(self) -> dict[str, str]:
        """Return the topic configs."""
        configs = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "message.timestamp.type": "LogAppendTime",
        }
        if self.retention_ms is not None:
            configs["retention.ms"] = str(self.retention_ms)
        if self.cleanup == "compact":
            if self.retention_ms is not None:
                configs["cleanup.policy"] = "compact,delete"
            configs["min.compaction.lag.ms"] = str(self.compaction_lag_ms)
            configs["segment.ms"] = str(_SEGMENT_MS)
        return configs


_BY_SESSION = "site_id:session_id"

EVENTS_RAW = Topic(
    "events-raw",
    "accepted events, and punctuation records, which advance the stream time of idle partitions",
    key=_BY_SESSION,
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
EVENTS_SESSION = Topic(
    "events-session",
    "deduplicated events, for sessions and live counters, and punctuation records",
    key=_BY_SESSION,
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
EVENTS_PAGELEAVE = Topic(
    "events-pageleave",
    "pageleave events, for time on page, and punctuation records",
    key=_BY_SESSION,
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
EVENTS_ALERT = Topic(
    "events-alert",
    "payments and errors, for alerts, and punctuation records",
    key="site_id",
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
SESSIONS = Topic(
    "sessions",
    "the visits of each session, and runs of passive events only; the changelog of sessionize",
    key=_BY_SESSION,
    record="SessionState",
    cleanup="compact",
)
VISITS = Topic(
    "visits",
    "one flat record per visit, as in the SQL table sessions; a tombstone deletes an erased visit",
    key="visit_id",
    record="FlatVisit",
    cleanup="compact",
    # As long as events: a consumer keeps the rows, and erased visits must not stay here.
    retention_ms=_EVENTS_MS,
)
PAGE_DURATIONS = Topic(
    "page-durations",
    "time on page by site, hour and path; the changelog of aggregate_durations",
    key="partition:site_id:hour:path",
    record="PageDuration",
    cleanup="compact",
)
ALERT_STATES = Topic(
    "alert-states",
    "the state of the alert rules; the changelog of raise_alerts",
    key="site_id:rule:subject",
    record="AlertState",
    cleanup="compact",
)
ALERTS = Topic(
    "alerts",
    "raised alerts",
    key="site_id",
    record="Alert",
    retention_ms=30 * _DAY_MS,
)


SUBSCRIPTIONS = Topic(
    "subscriptions",
    "alert subscriptions; a global table of raise_alerts",
    key="subscription_id",
    record="Subscription",
    cleanup="compact",
    is_global=True,
)
REPLAYS = Topic(
    "replays",
    "replayed and discarded dead letters, each once; a table of route_events",
    key="stage:topic/partition/offset",
    record="Replay",
    cleanup="compact",
)
IMPORT_WINDOWS = Topic(
    "import-windows",
    "open import windows; a global table of api",
    key="site_id:window_id",
    record="ImportWindow",
    cleanup="compact",
    is_global=True,
    # A window lasts at most a day, so windows that were not closed need no tombstone.
    retention_ms=2 * _DAY_MS,
)
SITES = Topic(
    "sites",
    "registered sites, their rules and the hashes of their keys; a global table of api",
    key="site_id",
    record="Site",
    cleanup="compact",
    is_global=True,
)
BLOCKED_IDS = Topic(
    "blocked-ids",
    "hashes of erased visitors and users whose events are rejected; a global table of api",
    key="site_id:hash",
    record="BlockedId",
    cleanup="compact",
    is_global=True,
)
ERASURES = Topic(
    "erasures",
    "hashes of erased sessions and sites, which are erased again when a database is restored",
    key="site_id:hash",
    record="BlockedId",
    cleanup="compact",
)
CLUSTER_EPOCHS = Topic(
    "cluster-epochs",
    "the epoch of this cluster, if a database adopted it; read by each role at start",
    key="cluster_id",
    record="ClusterEpoch",
    cleanup="compact",
    is_global=True,
)
LIVE_COUNTERS = Topic(
    "live-counters",
    "live counters by site and partition, and until when they are complete; read in full by query",
    key="site_id",
    record="LiveCounters",
    retention_ms=_HOUR_MS,
)


SALTS = Topic(
    "salts",
    "the salts of derived visitor ids, one per UTC day; a global table of api",
    key="day",
    record="Salt",
    cleanup="compact",
    is_global=True,
    # After that, it is impossible to link the visitor ids of that day to addresses.
    retention_ms=2 * _DAY_MS,
    # The first record of a day wins, so the later ones must not replace it.
    compaction_lag_ms=2 * _DAY_MS,
)


PROCESSES = Topic(
    "processes",
    "the status of each process of headrace, every few seconds; read by `headrace status`",
    key="process_id",
    record="ProcessStatus",
    retention_ms=_HOUR_MS,
    is_global=True,
)


def dead_letters_of(topic: str) -> str:
    """Return the name of the dead letter topic of `topic`."""
    return f"{topic}-dlq"


def _dead_letter_topic(topic: Topic) -> Topic:
    return Topic(
        dead_letters_of(topic.base_name),
        f"dead letters: records of {topic.base_name} that could not be processed, unchanged",
        key=topic.key,
        record=topic.record,
        retention_ms=30 * _DAY_MS,
    )


_SOURCES = (
    EVENTS_RAW,
    EVENTS_SESSION,
    EVENTS_PAGELEAVE,
    EVENTS_ALERT,
    SESSIONS,
    PAGE_DURATIONS,
    ALERTS,
)

#: The dead letter topics of all topics that agents read.
DEAD_LETTERS: tuple[Topic, ...] = tuple(_dead_letter_topic(topic) for topic in _SOURCES)

#: All topics, in the order of the data flow.
TOPICS: tuple[Topic, ...] = (
    *_SOURCES,
    VISITS,
    ALERT_STATES,
    SUBSCRIPTIONS,
    REPLAYS,
    IMPORT_WINDOWS,
    SITES,
    BLOCKED_IDS,
    ERASURES,
    CLUSTER_EPOCHS,
    LIVE_COUNTERS,
    SALTS,
    PROCESSES,
    *DEAD_LETTERS,
)
