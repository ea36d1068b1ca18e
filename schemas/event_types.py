"""The event types, as a table: adding one starts here.

The types and their fields are those of the Revlytics event API ("Event ingestion"); `inp`
and the fields of `payment` are ours. A new type is one row here and one file in
`examples/valid/<type>/`; the contract tests name what was forgotten.
"""

from dataclasses import dataclass

from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_SESSION, Topic


@dataclass(frozen=True, slots=True)
class EventType:
    """One type: what it tells, the fields that are its own, and where the router sends it.

    A passive type is sent by the page on its own, also hours later from a tab that was left open:
    it belongs to a visit, but does not make one.
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
            "something of the site's own happened",
            fields=("event_name", "properties"),
        ),
        EventType("web_vitals", "how fast a page was", fields=("vitals",), is_passive=True),
        EventType("external_link", "a link to another site was followed", fields=("properties",)),
        EventType(
            "error",
            "something failed",
            fields=("error_name", "error_message", "error_stack"),
            routes=(EVENTS_SESSION, EVENTS_ALERT),
        ),
        EventType(
            "payment",
            "money was paid",
            fields=("amount", "currency", "provider", "properties"),
            routes=(EVENTS_SESSION, EVENTS_ALERT),
        ),
        EventType("identify", "a visitor became known", fields=("user_id", "properties")),
        EventType("button_click", "a button was clicked", fields=("event_name", "properties")),
        EventType("form_submit", "a form was sent", fields=("event_name", "properties")),
        EventType("copy", "text was copied", fields=("properties",)),
    )
}

#: The types that do not make a visit; a visit with one pageview and else only these is a bounce.
PASSIVE_TYPES = frozenset(name for name, one in EVENT_TYPES.items() if one.is_passive)

#: The value of the `type` header of a tick, a record without key and value that advances
#: stream time in a partition that gets no events (design D8).
TICK = "tick"
