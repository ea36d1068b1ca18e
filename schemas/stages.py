"""The stages (agents) and their source topics; dead letters and replays name the stage."""

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

#: The first stage of all events, including replays.
ROUTER = "route_events"

#: The stages of the role `streams`.
STREAM_STAGES: dict[str, Topic] = {
    ROUTER: EVENTS_RAW,
    "sessionize": EVENTS_SESSION,
    "aggregate_durations": EVENTS_PAGELEAVE,
    "raise_alerts": EVENTS_ALERT,
}

#: The stages of the role `sinks`.
SINK_STAGES: dict[str, Topic] = {
    "store_events": EVENTS_RAW,
    "store_sessions": SESSIONS,
    "store_durations": PAGE_DURATIONS,
    "store_alerts": ALERTS,
}

#: All stages that write dead letters; `count_live` writes none.
STAGES: dict[str, Topic] = {**STREAM_STAGES, **SINK_STAGES}
