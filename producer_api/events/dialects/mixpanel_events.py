"""The events and profile changes of Mixpanel's clients.

They have no session. Durations, vitals and errors are not measured: a `$mp_page_leave` says how far
the visitor scrolled, and only if heatmaps are enabled.
"""

from typing import Any

from producer_api.events.derive.privacy import CLICK_IDS
from producer_api.events.dialects.members import (
    as_object,
    is_of_another_host,
    payment_of,
    pop_fields,
    pop_members,
    unmapped,
)
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.values import iso_time_of_seconds
from producer_api.events.fields import to_json_text

_TYPES = {
    "$mp_web_page_view": "pageview",
    "mp_page_view": "pageview",
    "$mp_page_leave": "pageleave",
    "$mp_click": "button_click",
    "$mp_submit": "form_submit",
    "$identify": "identify",
    "$create_alias": "identify",
    "$merge": "identify",
}
_FIELDS = {
    "$insert_id": "event_id",
    "$current_url": "url",
    "$referrer": "referrer",
    "$user_agent": "user_agent",
    "ip": "ip",
}
#: Of page views, where servers name the URL like this.
_PAGE = {
    "current_url": "url",
    "current_page_title": "title",
    "current_domain": "hostname",
    "current_url_path": "path",
}
#: They repeat parts of the URL.
_REPEATED = ("current_url_protocol", "current_url_search")
_SCREEN = {
    "$screen_width": "width",
    "$screen_height": "height",
    "$viewportWidth": "viewport_width",
    "$viewportHeight": "viewport_height",
}
_DEVICE = "$device:"
#: What an autocaptured event is about, a union of ids, and the seconds of `time_event`.
_OF_THE_EVENT = (
    *("$el_", "$attr-", "$scroll_", "$max_scroll", "$event_type"),
    *("$distinct_ids", "$duration"),
)
#: Names without a dollar sign that the client adds, with the campaign of an earlier visit.
_OF_THE_BROWSER = CLICK_IDS | {
    *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id"),
    *("utm_source_platform", "utm_campaign_id", "utm_creative_format", "utm_marketing_tactic"),
}
#: What the browser's client writes into profiles.
_OF_PROFILES = ("$os", "$browser", "$browser_version", "$device", "$initial_", "initial_utm_")
_OF_THE_CLIENT = ("$", "mp_")
_SETTERS = ("$set_once", "$set")


def event_of(sent: Any, site_id: Any, sent_at: Any) -> Event:
    """Return what an event means."""
    outer = as_object(sent)
    properties = as_object(outer.pop("properties", None))
    name = str(outer.pop("event", ""))
    kind = _TYPES.get(name, "custom_event")
    event: Event = {
        "type": kind,
        "site_id": properties.pop("token", None) or site_id,
        "timestamp": iso_time_of_seconds(properties.pop("time", None)),
        "sent_at": sent_at,
        **pop_fields(properties, _FIELDS),
        **_identities(name, properties),
    }
    if kind == "pageview":
        event = {**pop_fields(properties, _PAGE), **event}
        outer |= pop_members(properties, _REPEATED)
    if "url" in event:  # which has more of them
        event.pop("hostname", None)
        event.pop("path", None)
        # Parts of the URL, in which alone e-mail addresses are masked.
        pop_members(properties, _REPEATED)
    if screen := pop_fields(properties, _SCREEN):
        event["screen"] = screen
    own = _own_properties(properties)
    if kind in ("custom_event", "button_click", "form_submit"):
        event["event_name"] = name
    if kind == "button_click":
        event |= _click(name, own, properties, event.get("url"))
    elif not name.startswith("$"):
        event |= payment_of(name, own)
    return {**event, "properties": own, **unmapped(properties, outer)}


def _identities(name: str, properties: dict[str, Any]) -> Event:
    """Return the ids of the visitor and the user. An id from a server belongs to a user."""
    distinct_id = properties.pop("distinct_id", None)
    device_id = properties.pop("$device_id", None) or properties.pop("$anon_id", None)
    user_id = properties.pop("$user_id", None) or properties.pop("$identified_id", None)
    if isinstance(distinct_id, str) and distinct_id.startswith(_DEVICE):
        distinct_id = device_id = distinct_id.removeprefix(_DEVICE)
    if name == "$create_alias":
        user_id = properties.pop("alias", None)
    elif not user_id and distinct_id != device_id:
        user_id = distinct_id
    visitor_id = device_id or distinct_id
    if properties.get("$anon_distinct_id") in (visitor_id, f"{_DEVICE}{visitor_id}"):
        properties.pop("$anon_distinct_id", None)
    return {"visitor_id": visitor_id, "user_id": user_id}


def _own_properties(properties: dict[str, Any]) -> dict[str, Any]:
    """Remove and return what the site said, or an autocaptured event is about."""
    is_browser = properties.get("mp_lib") == "web"
    names = [
        name
        for name in properties
        if (
            name.startswith(_OF_THE_EVENT)
            if name.startswith(_OF_THE_CLIENT)
            else not (is_browser and name in _OF_THE_BROWSER)
        )
    ]
    return pop_members(properties, names)


def _click(name: str, own: dict[str, Any], properties: dict[str, Any], page: Any) -> Event:
    """Return the name of what was clicked, and the type if it is a link to another host."""
    elements = properties.get("$elements")
    links = [
        element.get("$attr-href")
        for element in (elements if isinstance(elements, list) else [])
        if isinstance(element, dict)
    ]
    target = own.get("$el_attr__href") or next(filter(None, links), None)
    event = {"event_name": own.get("$el_text") or own.get("$el_id") or name}
    if is_of_another_host(target, page):
        own["url"] = target
        event |= {"type": "external_link"}
    return event


def profile_of(change: Any, sent_at: Any) -> Event:
    """Return the identification, or the payment, that a change of a profile means."""
    members = as_object(change)
    common = _common(members, sent_at)
    ids = pop_members(members, ("$distinct_id", "$device_id", "$user_id"))
    event: Event = {
        "type": "identify",
        **common,
        **_identities("", {name.replace("$distinct", "distinct"): ids[name] for name in ids}),
    }
    appended = as_object(members.get("$append"))
    if isinstance(charge := appended.get("$transactions"), dict):
        members.pop("$append")
        return {**event, **_payment(charge), "properties": {**appended, **members}}
    traits: dict[str, Any] = {}
    for setter in _SETTERS:
        traits |= as_object(members.pop(setter, None))
    of_client = pop_members(traits, [name for name in traits if name.startswith(_OF_PROFILES)])
    return {**event, "properties": {**traits, **members}, **unmapped(of_client)}


def _common(members: dict[str, Any], sent_at: Any) -> Event:
    """Remove and return the fields of all changes.

    The time is that of the call, so that a change with a time has an id when it is sent again.
    """
    event_id = to_json_text(members) if "$time" in members else None
    return {
        "event_id": event_id,
        "site_id": members.pop("$token", None),
        "timestamp": iso_time_of_seconds(members.pop("$time", None)),
        "sent_at": sent_at,
        "ip": members.pop("$ip", None),
    }


def _payment(charge: dict[str, Any]) -> Event:
    payment = {"type": "payment", "amount": charge.get("$amount")}
    if (time := charge.get("$time")) is not None:
        payment["timestamp"] = iso_time_of_seconds(time)
    return payment


def group_of(change: Any, sent_at: Any) -> Event:
    """Return a custom event with the change of a group, which is not about a visitor."""
    members = as_object(change)
    common = _common(members, sent_at)
    return {"type": "custom_event", "event_name": "$groups", **common, "properties": members}
