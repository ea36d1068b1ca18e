"""The registry of event types.

Types and fields are those of the Revlytics event API ("Event ingestion"); `inp` and the fields of
`payment` are extensions. To add a type, add a row here and an example in
`examples/valid/<type>/`; contract tests report what is missing.
"""

from dataclasses import dataclass

from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_SESSION, Topic


@dataclass(frozen=True, slots=True)
class EventType:
    """An event type, its specific fields, and the topics that it is routed to.

    A passive type is sent without action of the visitor, even hours later from an open tab. It
    extends a visit but does not start one.
    """

    name: str
    about: str
    fields: tuple[str, ...] = ()
    routes: tuple[Topic, ...] = (EVENTS_SESSION,)
    is_passive: bool = False


EVENT_TYPES: dict[str, EventType] = {
    event_type.name: event_type
    for event_type in (
        EventType("pageview", "a page was shown"),
        EventType(
            "pageleave",
            "a page was left, after `duration` milliseconds",
            fields=("duration",),
            routes=(EVENTS_SESSION, EVENTS_PAGELEAVE),
            is_passive=True,
        ),
        EventType(
            "custom_event",
            "a custom event of the site",
            fields=("event_name", "properties"),
        ),
        EventType("web_vitals", "the performance of a page", fields=("vitals",), is_passive=True),
        EventType("external_link", "a link to another site was followed", fields=("properties",)),
        EventType(
            "error",
            "an error occurred",
            fields=("error_name", "error_message", "error_stack"),
            routes=(EVENTS_SESSION, EVENTS_ALERT),
        ),
        EventType(
            "payment",
            "a payment was made",
            fields=("amount", "currency", "provider", "properties"),
            routes=(EVENTS_SESSION, EVENTS_ALERT),
        ),
        EventType("identify", "a visitor was identified", fields=("user_id", "properties")),
        EventType("button_click", "a button was clicked", fields=("event_name", "properties")),
        EventType("form_submit", "a form was submitted", fields=("event_name", "properties")),
        EventType("copy", "text was copied", fields=("properties",)),
    )
}

#: A visit of one pageview and otherwise only these types is a bounce.
PASSIVE_TYPES = frozenset(name for name, event_type in EVENT_TYPES.items() if event_type.is_passive)

#: The `type` header of a punctuation record, which has no key and no value, and advances the stream
#: time of an idle partition (design D8).
TICK = "tick"
#: The `type` header of an erasure: a record without value that deletes the results of the session
#: that its key names, up to its own offset (ADR 67).
ERASE = "erase"
