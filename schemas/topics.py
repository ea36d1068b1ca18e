"""The Kafka topics, as data: who keys them how, what they hold, and how long.

A topic's name is public and frozen: consumers outside this project read them.
"""

from dataclasses import dataclass
from typing import Literal

from schemas.kafka_names import prefixed

Cleanup = Literal["delete", "compact"]

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

#: Compacted topics keep every version this long, so that a sink that was away for a day
#: still reads the last value of a state that was deleted meanwhile (docs/adr/0019).
MIN_COMPACTION_LAG_MS = _DAY_MS
#: What is written to now is never compacted; by itself Kafka would write on for a week.
_SEGMENT_MS = 6 * _HOUR_MS

#: Events, and what is routed of them: while `streams` is away, neither may expire before the other.
_EVENTS_MS = 7 * _DAY_MS

#: The largest record that any topic takes, bytes. A request body has at most 64 KiB;
#: the state of one key, with its 64 visits, stays below this too.
MAX_RECORD_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its name, the form of its keys, its Avro record and its cleanup.

    `retention_ms` is the time that records are kept. A compacted topic with one keeps the last
    record of each key for so long, any other compacted topic for ever.
    The broker stamps each record: its clock is the one of stream time and of retention, and it
    refuses whole batches that are stamped by a clock an hour ahead.
    """

    #: Its name without the prefix of the installation.
    base_name: str
    about: str
    key: str
    record: str
    cleanup: Cleanup = "delete"
    retention_ms: int | None = None

    @property
    def name(self) -> str:
        """Its name in Kafka."""
        return prefixed(self.base_name)

    def configs(self) -> dict[str, str]:
        """Return the topic's settings in Kafka's own names."""
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
            configs["min.compaction.lag.ms"] = str(MIN_COMPACTION_LAG_MS)
            configs["segment.ms"] = str(_SEGMENT_MS)
        return configs


_BY_SESSION = "site_id:session_id"

EVENTS_RAW = Topic(
    "events-raw",
    "every accepted event, and the ticks that advance idle partitions",
    key=_BY_SESSION,
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
EVENTS_SESSION = Topic(
    "events-session",
    "every event once, for sessions and live counters, and ticks",
    key=_BY_SESSION,
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
EVENTS_PAGELEAVE = Topic(
    "events-pageleave",
    "pageleave events, for time on page, and ticks",
    key=_BY_SESSION,
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
EVENTS_ALERT = Topic(
    "events-alert",
    "payments and errors, for alerts, and ticks",
    key="site_id",
    record="RawEvent",
    retention_ms=_EVENTS_MS,
)
SESSIONS = Topic(
    "sessions",
    "the visits of each session, and runs of passive events alone; the table of sessionize",
    key=_BY_SESSION,
    record="SessionState",
    cleanup="compact",
)
PAGE_DURATIONS = Topic(
    "page-durations",
    "time on page by site, hour and path; the table of aggregate_durations",
    key="partition:site_id:hour:path",
    record="PageDuration",
    cleanup="compact",
)
ALERT_STATES = Topic(
    "alert-states",
    "what the alert rules remember; the table of raise_alerts",
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
    "alert subscriptions; read whole by raise_alerts",
    key="subscription_id",
    record="Subscription",
    cleanup="compact",
)
REPLAYS = Topic(
    "replays",
    "dead letters that were replayed or discarded, each once; the table of route_events",
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
    # A window lasts at most a day: those that nobody closed need no tombstone.
    retention_ms=2 * _DAY_MS,
)
CLUSTER_EPOCHS = Topic(
    "cluster-epochs",
    "the epoch of this cluster, if a database adopted it; read by each role at its start",
    key="cluster_id",
    record="ClusterEpoch",
    cleanup="compact",
)
LIVE_COUNTERS = Topic(
    "live-counters",
    "what happens now, by site and partition, and until when that is complete; read whole by query",
    key="site_id",
    record="LiveCounters",
    retention_ms=_HOUR_MS,
)


def dead_letters_of(topic: str) -> str:
    """Return the name of the topic for the records of `topic` that could not be processed."""
    return f"{topic}-dlq"


def _dead_letter_topic(topic: Topic) -> Topic:
    return Topic(
        dead_letters_of(topic.base_name),
        f"records of {topic.base_name} that could not be processed, as they came",
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

#: Where records that could not be processed go, for each topic that an agent reads.
DEAD_LETTERS: tuple[Topic, ...] = tuple(_dead_letter_topic(topic) for topic in _SOURCES)

#: All topics that headrace creates, in the order of the flow.
TOPICS: tuple[Topic, ...] = (
    *_SOURCES,
    ALERT_STATES,
    SUBSCRIPTIONS,
    REPLAYS,
    IMPORT_WINDOWS,
    CLUSTER_EPOCHS,
    LIVE_COUNTERS,
    *DEAD_LETTERS,
)
