"""The events of PostHog's clients.

- `$pageleave` and later page views of a single-page application have `$prev_pageview_duration`,
  which includes the time in which the page was hidden; after a restore from the back/forward
  cache, it also includes the visit before. It is the duration all the same, as nothing else is
  known. A page view that has it means two events: the last page was left, and this one shown.
- `$referrer` is that of the session's first page.
- `$$heatmap`, `$rageclick` and the like are custom events of that name.
"""

from typing import Any

from producer_api.events.derive.privacy import CLICK_IDS
from producer_api.events.dialects.members import (
    as_object,
    payment_of,
    pop_fields,
    pop_members,
    unmapped,
    without_nulls,
)
from producer_api.events.dialects.model import AGE, Event
from producer_api.events.dialects.posthog_exceptions import error_of
from producer_api.events.dialects.posthog_identities import identities
from producer_api.events.dialects.values import SECOND, iso_time
from producer_api.events.fields import UTM

_TYPES = {
    "$pageview": "pageview",
    "$screen": "pageview",
    "$pageleave": "pageleave",
    "$web_vitals": "web_vitals",
    "$exception": "error",
    "$copy_autocapture": "copy",
    "$identify": "identify",
    "$set": "identify",
    "$set_once": "identify",
    "$create_alias": "identify",
    "$merge_dangerously": "identify",
}
_INTERACTIONS = {"click": "button_click", "submit": "form_submit"}
_FIELDS = {
    "$current_url": "url",
    "$host": "hostname",
    "$pathname": "path",
    "$screen_name": "title",
    "$session_entry_referrer": "referrer",
    "$referrer": "referrer",
    "$raw_user_agent": "user_agent",
    "$useragent": "user_agent",
    "$browser_language": "language",
    "$locale": "language",
    "$ip": "ip",
    "$session_id": "session_id",
}
_SCREEN = {
    "$screen_width": "width",
    "$screen_height": "height",
    "$viewport_width": "viewport_width",
    "$viewport_height": "viewport_height",
}
_UTM = {f"$session_entry_utm_{field}": field for field in UTM}
_CLICK_IDS = {f"$session_entry_{name}": name for name in CLICK_IDS}
_VITALS = ("LCP", "CLS", "FCP", "INP", "TTFB")
#: What an event of the client itself is about.
_OF_THE_EVENT = frozenset(
    {
        *("$el_text", "$event_type", "$elements", "$elements_chain", "$external_click_url"),
        *("$selected_content", "$copy_type"),
        *("$feature_flag", "$feature_flag_response", "$survey_id", "$survey_response"),
        *("$group_type", "$group_key", "$group_set", "$groups"),
    }
)
#: Prefixes of the same: of calls of language models, and of responses to the questions of a survey.
_OF_THE_EVENT_BY_PREFIX = ("$ai_", "$survey_")
#: Names without a dollar sign that the client adds, with the campaign of an earlier visit.
_OF_THE_BROWSER = CLICK_IDS | {
    *("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id"),
    *("gad_source", "gclsrc", "mc_cid", "qclid", "oppref", "bfcid", "irclid", "_kx"),
}
_NOTHING: frozenset[str] = frozenset()
_DIRECT = "$direct"
_TRAITS = ("$set", "$set_once")
_TIMES = ("timestamp", "sent_at", AGE)
#: The share of the page that was scrolled is 1 at most, or little more.
_MAX_SCROLL = 100


def events_of(sent: Any, site_id: Any, sent_at: Any) -> list[Event]:
    """Return what one event of a request means."""
    outer = as_object(sent)
    properties = as_object(outer.pop("properties", None))
    own_site = next(iter(pop_members(outer, ("api_key", "token")).values()), None)
    token = properties.pop("token", None)
    outer.pop("type", None)  # "capture", of old server clients
    if "$lib" in outer:  # of the client for Java
        properties.setdefault("$lib", outer.pop("$lib"))
    if isinstance(context := outer.get("context"), dict):  # of the same
        properties.setdefault("$ip", context.pop("ip", None))
    name = str(outer.pop("event", ""))
    event = {
        "site_id": site_id or own_site or token,
        **identities(name, outer, properties),
        **_times(outer, properties, sent_at),
        **_page(name, properties),
    }
    event |= _content(name, outer, properties)
    if "$set_once" in outer:  # of which a browser sends all names
        outer["$set_once"] = without_nulls(as_object(outer["$set_once"])) or None
    leave = _leave(event, properties)
    event |= unmapped(properties, outer)
    return [leave, event] if leave else [event]


def _times(outer: dict[str, Any], properties: dict[str, Any], sent_at: Any) -> Event:
    time = properties.pop("$time", None)
    timestamp = outer.pop("timestamp", None) or properties.pop("timestamp", None)
    timestamp = timestamp or iso_time(time, SECOND)
    offset = outer.get("offset")
    if timestamp is None and isinstance(offset, int):  # milliseconds between event and request
        return {AGE: outer.pop("offset")}
    corrects = not properties.get("$ignore_sent_at")
    return {"timestamp": timestamp, "sent_at": sent_at if corrects else None}


def _page(name: str, properties: dict[str, Any]) -> Event:
    page = pop_fields(properties, _FIELDS)
    if name == "$screen":  # of an app, which has a name instead of a path
        page["path"] = page.get("title")
    if "url" in page:  # which has more of them
        page.pop("hostname", None)
        page.pop("path", None)
    if page.get("referrer") == _DIRECT:
        del page["referrer"]
    if name == "$pageview":
        page["title"] = properties.pop("title", None)
    if screen := pop_fields(properties, _SCREEN):
        page["screen"] = screen
    if utm := pop_fields(properties, _UTM):
        page["utm"] = utm
    if clicks := pop_fields(properties, _CLICK_IDS):
        page["ad_click_ids"] = clicks
    return page


def _content(name: str, outer: dict[str, Any], properties: dict[str, Any]) -> Event:
    """Return the type and what belongs to it; the rest stays in `properties`."""
    kind = _TYPES.get(name, "custom_event")
    is_browser = properties.get("$lib") == "web"
    own = _pop_own(properties, is_browser)
    if kind == "identify":
        own |= _traits(properties, is_browser) | _traits(outer, is_browser)
    elif not is_browser:
        own |= pop_members(outer, _TRAITS) | pop_members(properties, _TRAITS)
    event: Event = {"type": kind, "properties": own}
    if name == "$autocapture":
        event["type"] = _type_of_interaction(own)
    if event["type"] == "external_link":
        own["url"] = own["$external_click_url"]
    if kind == "custom_event":
        event["event_name"] = name
    if event["type"] == "button_click":
        event["event_name"] = own.get("$el_text") or name
    if kind == "error":
        event |= error_of(properties)
    elif kind == "web_vitals":
        event["vitals"] = _vitals(properties)
    elif not name.startswith("$"):
        event |= payment_of(name, own)
    return event


def _type_of_interaction(own: dict[str, Any]) -> str:
    kind = _INTERACTIONS.get(str(own.get("$event_type")), "custom_event")
    is_outbound = kind == "button_click" and "$external_click_url" in own
    return "external_link" if is_outbound else kind


def _pop_own(members: dict[str, Any], is_browser: bool) -> dict[str, Any]:
    """Remove and return what the site said, or an event of the client is about."""
    of_client = _OF_THE_BROWSER if is_browser else _NOTHING
    names = [
        name
        for name in members
        if (name in _OF_THE_EVENT if name[:1] == "$" else name not in of_client)
    ]
    all_names = " ".join(members)  # few events have one of the prefixes in any of 80 names
    if any(prefix in all_names for prefix in _OF_THE_EVENT_BY_PREFIX):
        names += [name for name in members if name.startswith(_OF_THE_EVENT_BY_PREFIX)]
    return pop_members(members, names)


def _traits(members: dict[str, Any], is_browser: bool) -> dict[str, Any]:
    """Remove and return traits of the user; what a browser knows of the first visit stays."""
    once = as_object(members.pop("$set_once", None))
    traits = _pop_own(once, is_browser)
    members["$set_once"] = without_nulls(once) or None
    return traits | as_object(members.pop("$set", None))


def _vitals(properties: dict[str, Any]) -> dict[str, Any]:
    vitals = {}
    for vital in _VITALS:
        measured = as_object(properties.get(f"$web_vitals_{vital}_event"))
        value = properties.pop(f"$web_vitals_{vital}_value", measured.get("value"))
        if value is not None:
            vitals[vital.lower()] = value
        # Each repeats the page and the session.
        kept = pop_members(measured, ("rating", "navigationType", "attribution", "id", "delta"))
        if kept:
            properties[f"$web_vitals_{vital}_event"] = kept
    return vitals


def _leave(event: Event, properties: dict[str, Any]) -> Event | None:
    """Return the leave that a page view also reports; write that of a leave to itself."""
    seconds = properties.get("$prev_pageview_duration")
    if not isinstance(seconds, int | float) or event["type"] not in ("pageview", "pageleave"):
        return None
    del properties["$prev_pageview_duration"]
    path = properties.pop("$prev_pageview_pathname", None)
    scroll = properties.pop("$prev_pageview_max_scroll_percentage", None)
    ids = ("site_id", "visitor_id", "user_id", "session_id", "user_agent", *_TIMES)
    left = event
    if event["type"] == "pageview":
        left = {name: event[name] for name in (*ids, "ip", "language", "screen") if name in event}
        left |= {"type": "pageleave", "properties": {}}
        if event["event_id"] is not None:
            left["event_id"] = f"{event['event_id']}:leave"
    left |= {"path": path, "duration": seconds * 1000}
    if isinstance(scroll, int | float) and abs(scroll) < _MAX_SCROLL:
        left["properties"]["scroll"] = round(scroll * 100)
    return left if left is not event else None
