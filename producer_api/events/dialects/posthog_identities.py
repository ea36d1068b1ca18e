"""The ids of PostHog's clients: of events, visitors and users."""

from typing import Any

from producer_api.events.dialects.model import Event
from producer_api.events.event_ids import UUID_TEXT

#: The servers' clients whose alias is the earlier id; that of all others is the user's.
_WITH_EARLIER_ALIAS = frozenset(
    f"posthog-{name}" for name in ("node", "go", "php", "ruby", "java", "dotnet", "rs", "elixir")
)


def identities(name: str, outer: dict[str, Any], properties: dict[str, Any]) -> Event:
    """Return the ids of the event, the visitor and the user.

    A browser sends `$device_id`, and `$user_id` of an identified person. An id from a server
    belongs to a user, unless its events have no person. Without cookies, the server has to make
    the ids.
    """
    inner = properties.pop("distinct_id", None)
    distinct_id = outer.pop("distinct_id", None) or inner
    own_id = properties.pop("$insert_id", None)
    own_id = outer.pop("uuid", None) or outer.pop("messageId", None) or own_id
    event: Event = {"event_id": own_id}
    user_id = properties.pop("$user_id", None)
    if properties.get("$cookieless_mode"):
        return {**event, "user_id": user_id}
    device_id = properties.pop("$device_id", None)
    is_user = properties.get("$is_identified")
    if not isinstance(is_user, bool):
        # Browsers before 2024: after a `reset`, another anonymous id belongs to the same device.
        is_user = (
            properties.get("$lib") != "web"
            and distinct_id != device_id
            and properties.get("$process_person_profile") is not False
        )
    if name == "$create_alias":
        user_id = properties.pop("alias", None)
        if properties.get("$lib") in _WITH_EARLIER_ALIAS:
            (distinct_id, user_id) = (user_id, distinct_id)
    elif name == "$groupidentify" and _stands_for_nobody(distinct_id, properties):
        distinct_id = None
    elif is_user or name == "$identify":
        user_id = user_id or distinct_id
    visitor_id = device_id or distinct_id
    if properties.get("$anon_distinct_id") == visitor_id:
        properties.pop("$anon_distinct_id", None)
    return {**event, "visitor_id": visitor_id, "user_id": user_id}


def _stands_for_nobody(distinct_id: Any, properties: dict[str, Any]) -> bool:
    """Return True for the id in the event of a group that a program did not say a visitor of.

    It is that of the group; the client for Python makes a random one.
    """
    if properties.get("$lib") == "posthog-python" and UUID_TEXT.fullmatch(str(distinct_id)):
        return True
    group = f"${properties.get('$group_type')}_{properties.get('$group_key')}"
    return isinstance(distinct_id, str) and distinct_id == group
