"""The events of Amplitude's clients.

Every visit begins with a custom event `session_start` and an `$identify`, and every page has a
`[Amplitude] Viewport Content Updated`, unless the site turns off what captures them. Time on page
and errors are not measured.
"""

from decimal import Decimal, DecimalException
from typing import Any

from producer_api.events.derive.privacy import CLICK_IDS
from producer_api.events.dialects.fitting import hashed_id
from producer_api.events.dialects.members import (
    as_object,
    is_of_another_host,
    is_zero,
    pop_fields,
    pop_members,
    unmapped,
)
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.values import MILLISECOND, iso_time

_PREFIX = "[Amplitude] "
_TYPES = {
    "[Amplitude] Page Viewed": "pageview",
    "[Amplitude] Element Clicked": "button_click",
    "[Amplitude] Form Submitted": "form_submit",
    "[Amplitude] Web Vitals": "web_vitals",
    "$identify": "identify",
}
_FIELDS = {
    "insert_id": "event_id",
    "uuid": "event_id",  # of the first SDKs
    "user_id": "user_id",
    "language": "language",
    "user_agent": "user_agent",
    "ip": "ip",
}
#: What the client for browsers counts in a page view, whose name the site may choose.
_PAGE_COUNTER = "[Amplitude] Page Counter"
#: The name of a page view of its first major version, which has no counter.
_PAGE_VIEW = "Page View"
_PAGE = {
    "[Amplitude] Page Location": "url",
    "[Amplitude] Page URL": "url",
    "[Amplitude] Page Domain": "hostname",
    "[Amplitude] Page Path": "path",
    "[Amplitude] Page Title": "title",
}
#: The same of a page view of the first major version.
_FIRST_PAGE = {
    "page_location": "url",
    "page_url": "url",
    "page_domain": "hostname",
    "page_path": "path",
    "page_title": "title",
}
_SCREEN = {
    "[Amplitude] Viewport Width": "viewport_width",
    "[Amplitude] Viewport Height": "viewport_height",
}
_VITALS = ("LCP", "CLS", "FCP", "INP", "TTFB")
#: What the client says about itself and the page, rather than the event.
_OF_CLIENT = tuple(
    f"{_PREFIX}{name}"
    for name in (
        *("Page Counter", "Page View ID", "Previous Page", "Element Hierarchy"),
        *("Element Position", "Element Path", "Max Page", "Min Page"),
    )
)
#: Names that the browser's client adds.
_OF_THE_BROWSER = CLICK_IDS | {
    *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id"),
    *("referrer", "referring_domain", "ko_click_id"),
}
_INITIAL = "initial_"
_REMOTE = "$remote"
_NO_SESSION = -1


def event_of(sent: Any, site_id: Any, sent_at: Any) -> Event:
    """Return what an event means."""
    outer = as_object(sent)
    properties = as_object(outer.pop("event_properties", None))
    name = str(outer.pop("event_type", ""))
    is_browser = outer.get("platform") == "Web"
    kind = _type_of(name, properties)
    event: Event = {
        "type": kind,
        "site_id": site_id,
        "timestamp": iso_time(_time(outer), MILLISECOND),
        "sent_at": sent_at,
        **pop_fields(outer, _FIELDS),
        **_page(name, properties, is_browser),
    }
    event |= _identities(event, outer)
    if event.get("ip") == _REMOTE:
        del event["ip"]
    own = _own_properties(properties, is_browser)
    if kind == "web_vitals":
        event["vitals"] = _vitals(own)
    elif kind == "identify":
        own |= _traits(outer, is_browser)
    elif name not in _TYPES or kind != "pageview":
        event["event_name"] = name
    if kind == "button_click":
        event |= _click(name, own, event)
    event |= _payment(outer, own)
    if name == "$groupidentify":
        own |= pop_members(outer, ("groups", "group_properties"))
    return {**event, "properties": own, **unmapped(properties, outer)}


def _time(outer: dict[str, Any]) -> Any:
    """Return milliseconds since the epoch; the first SDKs named them `timestamp`."""
    return outer.pop("time" if "time" in outer else "timestamp", None)


def identification_of(sent: Any, site_id: Any) -> Event:
    """Return the event of the Identify API, of which plain members of the user are traits, too."""
    return event_of({**as_object(sent), "event_type": "$identify"}, site_id, None)


def group_of(sent: Any, site_id: Any) -> Event:
    """Return the event of the Group Identify API, which is not about a visitor."""
    members = as_object(sent)
    groups = {str(members.pop("group_type", "group")): members.pop("group_value", None)}
    return event_of({**members, "event_type": "$groupidentify", "groups": groups}, site_id, None)


def _identities(event: Event, outer: dict[str, Any]) -> Event:
    """Return the ids of the visitor and the session.

    A session is the time in milliseconds at which it began, which is unique on one device only.
    """
    visitor_id = outer.pop("device_id", None) or event.get("user_id")
    session_id = outer.pop("session_id", None)
    ids: Event = {"visitor_id": visitor_id}
    if session_id not in (None, _NO_SESSION):
        ids["session_id"] = hashed_id("", f"{visitor_id}.{session_id}")
    return ids


def _type_of(name: str, properties: dict[str, Any]) -> str:
    is_view = _PAGE_COUNTER in properties or (name == _PAGE_VIEW and "page_location" in properties)
    return _TYPES.get(name, "pageview" if is_view else "custom_event")


def _page(name: str, properties: dict[str, Any], is_browser: bool) -> Event:
    page = pop_fields(properties, {**_PAGE, **(_FIRST_PAGE if name == _PAGE_VIEW else {})})
    if "url" in page:  # which has more of them
        page.pop("hostname", None)
        page.pop("path", None)
    if screen := pop_fields(properties, _SCREEN):
        page["screen"] = screen
    if is_browser:
        previous = properties.get("[Amplitude] Previous Page Location")
        page["referrer"] = properties.pop("referrer", None) or previous or None
    return page


def _own_properties(properties: dict[str, Any], is_browser: bool) -> dict[str, Any]:
    """Remove and return what the site said, or a captured event is about."""
    names = [
        name
        for name in properties
        if not (name.startswith(_OF_CLIENT) or (is_browser and name in _OF_THE_BROWSER))
    ]
    return pop_members(properties, names)


def _vitals(own: dict[str, Any]) -> dict[str, Any]:
    """Return the vitals; what else was measured of them stays."""
    vitals = {}
    for vital in _VITALS:
        measured = own.get(f"{_PREFIX}{vital}")
        if isinstance(measured, dict) and "value" in measured:
            vitals[vital.lower()] = measured["value"]
    return vitals


def _click(name: str, own: dict[str, Any], event: Event) -> Event:
    """Return the name of what was clicked, and the type if it is a link to another host."""
    text = own.get("[Amplitude] Element Text") or own.get("[Amplitude] Element ID")
    target = own.get("[Amplitude] Element Href")
    click: Event = {"event_name": text or name}
    if is_of_another_host(target, event.get("url")):
        own["url"] = target
        click["type"] = "external_link"
    return click


def _traits(outer: dict[str, Any], is_browser: bool) -> dict[str, Any]:
    """Remove and return the properties of the user, and changes of them under their own names."""
    changes = as_object(outer.pop("user_properties", None))
    of_client: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    for setter in ("$setOnce", "$set"):
        members = as_object(changes.pop(setter, None))
        names = [name for name in members if _is_of_client(name, is_browser)]
        of_client |= pop_members(members, names)
        traits |= members
    unset = as_object(changes.get("$unset"))
    if all(_is_of_client(name, is_browser) for name in unset):
        changes.pop("$unset", None)
    outer["user_properties"] = of_client or None
    return {**changes, **traits}


def _is_of_client(name: str, is_browser: bool) -> bool:
    return is_browser and (name in _OF_THE_BROWSER or name.startswith(_INITIAL))


def _payment(outer: dict[str, Any], own: dict[str, Any]) -> Event:
    """Return the payment of the API's members, or of a `Revenue` object of the clients.

    Some programs send a revenue of 0 with every event. A negative one is a refund.
    """
    currency = outer.get("currency") or own.get("$currency")
    revenue = outer.get("revenue", own.get("$revenue"))
    price = outer.get("price", own.get("$price"))
    quantity = outer.get("quantity", own.get("$quantity", 1))
    if revenue is None and price is not None:
        revenue = _product(price, quantity)
    if revenue is None or is_zero(revenue):
        return {}
    return {"type": "payment", "amount": revenue, "currency": currency}


def _product(price: Any, quantity: Any) -> Any:
    """Return the product without binary rounding; the price itself if it is no number."""
    try:
        return str(Decimal(str(price)) * Decimal(str(quantity)))
    except DecimalException:
        return price
