"""Who reads which topic: the agents, by the names that dead letters and replays carry."""

from schemas.topics import (
    ALERTS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_RAW,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
    Topic,
)

#: The stage that all events pass first, also those that are replayed.
ROUTER = "route_events"

#: What the stages of the role `streams` read.
STREAM_STAGES: dict[str, Topic] = {
    ROUTER: EVENTS_RAW,
    "sessionize": EVENTS_SESSION,
    "aggregate_durations": EVENTS_PAGELEAVE,
    "raise_alerts": EVENTS_ALERT,
}

#: What the stages of the role `sinks` read.
SINK_STAGES: dict[str, Topic] = {
    "store_events": EVENTS_RAW,
    "store_sessions": SESSIONS,
    "store_durations": PAGE_DURATIONS,
    "store_alerts": ALERTS,
}

#: Every stage that dead letters can come from; `count_live` makes none.
STAGES: dict[str, Topic] = {**STREAM_STAGES, **SINK_STAGES}
