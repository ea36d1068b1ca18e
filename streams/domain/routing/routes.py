"""Routing of events to topics by their type."""

from collections.abc import Mapping, Sequence

from schemas.event_types import EVENT_TYPES, EventType
from schemas.topics import EVENTS_ALERT, Topic


def same_partition_topics(
    registry: Mapping[str, EventType] = EVENT_TYPES,
) -> dict[bytes, Sequence[Topic]]:
    """Return the topics of each type that keep the event's key and partition."""
    return {
        name.encode(): tuple(topic for topic in event_type.routes if topic is not EVENTS_ALERT)
        for name, event_type in registry.items()
    }


def alerting_types(registry: Mapping[str, EventType] = EVENT_TYPES) -> frozenset[bytes]:
    """Return the types that are routed to `events-alert`, keyed by site."""
    return frozenset(
        name.encode() for name, event_type in registry.items() if EVENTS_ALERT in event_type.routes
    )
