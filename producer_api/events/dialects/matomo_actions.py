"""The actions of Matomo's Tracking HTTP API: the parameters of a request as events."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import AGE, Event
from producer_api.events.dialects.values import SECOND, iso_time, json_or_text, size

Parameters = dict[str, str]

#: Parameters that are members of the event, whatever its type.
_MEMBERS = {
    "idsite": "site_id",
    "url": "url",
    "urlref": "referrer",
    "action_name": "title",
    "uid": "user_id",
    "lang": "language",
    "ua": "user_agent",
    "cip": "ip",
}
#: Parameters with what the site says about the action, and the name of their property.
_PROPERTIES = {
    "download": "url",
    "link": "url",
    "e_c": "category",
    "e_a": "action",
    "e_n": "name",
    "e_v": "value",
    "search": "keyword",
    "search_cat": "category",
    "search_count": "count",
    "c_n": "content_name",
    "c_p": "content_piece",
    "c_t": "content_target",
    "c_i": "content_interaction",
    "cra_ct": "category",
    "cra_ru": "resource",
    "cra_rl": "line",
    "cra_rc": "column",
    "idgoal": "goal_id",
    "revenue": "revenue",
    "ec_id": "order_id",
    "ec_st": "subtotal",
    "ec_tx": "tax",
    "ec_sh": "shipping",
    "ec_dt": "discount",
    "ec_items": "items",
    "_pkc": "product_category",
    "_pks": "product_sku",
    "_pkn": "product_name",
    "_pkp": "product_price",
}
#: Properties that are numbers, lists or objects, written as JSON.
_JSON = frozenset(
    {"e_v", "search_count", "cra_rl", "cra_rc", "revenue", "ec_st", "ec_tx", "ec_sh", "ec_dt"}
    | {"ec_items", "_pkc", "_pkp"}
)
#: Custom variables: objects of numbered pairs of a name and a value.
_VARIABLES = ("_cvar", "cvar", "e_cvar")
_ERRORS = "JavaScript Errors"
#: Properties that keep their names: custom dimensions, and the plugin for media.
_OF_PLUGINS = ("dimension", "ma_")
#: Campaign parameters of page URLs after the prefix; those of other systems are derived later.
_CAMPAIGN = {
    "campaign": "campaign",
    "source": "source",
    "medium": "medium",
    "keyword": "term",
    "kwd": "term",
    "content": "content",
}
_CAMPAIGN_PREFIXES = frozenset({"mtm", "matomo", "pk", "piwik"})
_SECONDS = re.compile(r"[0-9]{1,7}")


def event_of(rest: Parameters) -> Event:
    """Return the event of the parameters, and take them; those without a field are unmapped."""
    action = next((action for name, action in _ACTIONS if _is_set(rest, name)), _view)
    event = action(rest)
    visitor_id = rest.pop("cid", "") or rest.pop("_id", "")
    event["visitor_id"] = visitor_id or None
    event |= {field: rest.pop(name) for name, field in _MEMBERS.items() if rest.get(name)}
    if campaign := _campaign(event.get("url", "")):
        event["utm"] = campaign
    if resolution := size(rest.get("res")):
        event["screen"] = dict(zip(("width", "height"), resolution, strict=True))
        del rest["res"]
    event |= _times(rest)
    if properties := _properties(rest):
        event["properties"] = properties
    if rest:
        event[UNMAPPED] = rest
    return event


def _times(rest: Parameters) -> Event:
    """Take the time that the client says, or the time that it kept the request while offline."""
    if moment := rest.pop("cdt", ""):
        return {"timestamp": iso_time(moment, SECOND)}
    if _SECONDS.fullmatch(rest.get("cdo", "")):
        return {AGE: int(rest.pop("cdo")) * 1000}
    return {}


def _campaign(url: str) -> dict[str, str]:
    """Return the UTM members of Matomo's campaign parameters, unless the URL has UTM parameters."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return {}
    if "utm_" in query:
        return {}
    named = [(*name.partition("_")[::2], value) for name, value in parse_qsl(query)]
    return {
        _CAMPAIGN[name]: value
        for prefix, name, value in named
        if prefix in _CAMPAIGN_PREFIXES and name in _CAMPAIGN
    }


def _is_set(parameters: Parameters, name: str) -> bool:
    """Return True if a parameter has a value; 0 is none, except the goal of orders."""
    return parameters.get(name, "") not in (("",) if name == "idgoal" else ("", "0"))


def _view(_: Parameters) -> Event:
    return {"type": "pageview"}


def _ping(rest: Parameters) -> Event:
    # A heartbeat is sent when the page loses the focus, and has no duration.
    del rest["ping"]
    return {"type": "pageleave"}


def _conversion(rest: Parameters) -> Event:
    """Return a goal, an order, or the update of a cart, whose value is no revenue."""
    is_cart = rest["idgoal"] == "0" and not rest.get("ec_id")
    name = "goal"
    if rest["idgoal"] == "0":
        del rest["idgoal"]
        name = "cart_update" if is_cart else "order"
    if is_cart or not _is_set(rest, "revenue"):
        return {"type": "custom_event", "event_name": name}
    # Matomo's currency is a setting of its site; ours may be appended to the tracking URL.
    currency = rest.pop("currency", None)
    amount = rest.pop("revenue")
    return {"type": "payment", "event_name": name, "amount": amount, "currency": currency}


def _download(_: Parameters) -> Event:
    return {"type": "custom_event", "event_name": "download"}


def _link(_: Parameters) -> Event:
    return {"type": "external_link"}


def _named(rest: Parameters) -> Event:
    if rest["e_c"] == _ERRORS:
        return {"type": "error", "error_message": rest.pop("e_n", None)}
    return {"type": "custom_event", "event_name": rest.pop("e_a", None)}


def _search(_: Parameters) -> Event:
    return {"type": "custom_event", "event_name": "site_search"}


def _content(rest: Parameters) -> Event:
    kind = "interaction" if _is_set(rest, "c_i") else "impression"
    return {"type": "custom_event", "event_name": f"content_{kind}"}


def _crash(rest: Parameters) -> Event:
    return {
        "type": "error",
        "error_name": rest.pop("cra_tp", None),
        "error_message": rest.pop("cra"),
        "error_stack": rest.pop("cra_st", None),
    }


def _media(_: Parameters) -> Event:
    return {"type": "custom_event", "event_name": "media"}


def _custom(_: Parameters) -> Event:
    return {"type": "custom_event", "event_name": "custom_action"}


#: The parameter that makes a request one of an action; the first that is set decides.
_ACTIONS: tuple[tuple[str, Callable[[Parameters], Event]], ...] = (
    ("ping", _ping),
    ("idgoal", _conversion),
    ("download", _download),
    ("link", _link),
    ("e_c", _named),
    ("search", _search),
    ("c_n", _content),
    ("cra", _crash),
    ("ma_id", _media),
    ("ca", _custom),
)


def _properties(rest: Parameters) -> dict[str, Any]:
    """Take the parameters with what the site says, as properties."""
    properties: dict[str, Any] = {}
    for name in _VARIABLES:
        if name in rest:
            properties |= _variables(json_or_text(rest.pop(name)), name)
    if "data" in rest:
        data = json_or_text(rest.pop("data"))
        properties |= data if isinstance(data, dict) else {"data": data}
    for name in [name for name in rest if name.startswith(_OF_PLUGINS)]:
        properties[name] = rest.pop(name)
    for name in [name for name in rest if name in _PROPERTIES]:
        value = rest.pop(name)
        properties[_PROPERTIES[name]] = json_or_text(value) if name in _JSON else value
    return properties


def _variables(variables: Any, name: str) -> dict[str, Any]:
    try:
        return {str(pair[0]): pair[1] for pair in variables.values()}
    except (AttributeError, TypeError, KeyError, IndexError):
        return {name: variables}
