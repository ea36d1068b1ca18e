"""The events of the Snowplow tracker protocol: a row of a batch as events."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from producer_api.events.dialects.decoding import json_or_base64
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.values import iso_time, json_or_text, size
from producer_api.events.fields import VITALS
from producer_api.events.rejection import Rejected

Row = dict[str, Any]

_MILLISECOND = timedelta(milliseconds=1)
#: Parameters that are members of the event, whatever its type.
_MEMBERS = {
    "aid": "site_id",
    "eid": "event_id",
    "url": "url",
    "refr": "referrer",
    "page": "title",
    "sid": "session_id",
    "duid": "visitor_id",
    "uid": "user_id",
    "lang": "language",
    "ua": "user_agent",
    "ip": "ip",
}
#: Parameters with what the site says about the event, and the name of their property.
_PROPERTIES = {
    "se_ca": "category",
    "se_la": "label",
    "se_pr": "property",
    "se_va": "value",
    "tr_id": "order_id",
    "tr_af": "affiliation",
    "tr_tx": "tax",
    "tr_sh": "shipping",
    "tr_ci": "city",
    "tr_st": "state",
    "tr_co": "country",
    "ti_id": "order_id",
    "ti_sk": "sku",
    "ti_nm": "name",
    "ti_ca": "category",
    "ti_pr": "price",
    "ti_qu": "quantity",
    "ti_cu": "currency",
}
_NUMBERS = frozenset({"se_va", "tr_tx", "tr_sh", "ti_pr", "ti_qu"})
#: What trackers themselves say about the client; the site attaches all other entities.
_OF_THE_CLIENT = frozenset(
    {"web_page", "browser_context", "http_client_hints", "client_session", "mobile_context"}
    | {"application", "geolocation_context", "PerformanceTiming", "PerformanceNavigationTiming"}
)
#: The visitor of a tracker that may not identify any.
_NOBODY = "00000000-0000-0000-0000-000000000000"


class Entities(NamedTuple):
    """The entities of an event by the name of their schema."""

    by_name: dict[str, list[dict[str, Any]]]

    def first(self, name: str) -> dict[str, Any]:
        """Return the first entity of a name; an empty object if there is none."""
        return next(iter(self.by_name.get(name, ())), {})


def events_of(row: Any, query: Mapping[str, str]) -> list[Event]:
    """Return the event of a row, and the performance of the page if a page view reports it."""
    if not isinstance(row, dict):
        return [{UNMAPPED: {"row": row}}]
    rest = {name: value for name, value in {**row, **query}.items() if value not in (None, "")}
    entities = _entities(_document(rest, "co", "cx"))
    event = {**_typed(rest, entities), **_common(rest, entities)}
    event["properties"] = _properties(event.get("properties", {}), rest, entities) or None
    rest |= {
        name: entities.first(name) for name in sorted(_OF_THE_CLIENT & entities.by_name.keys())
    }
    return [{**event, UNMAPPED: rest}, *_performance(event, entities)]


def _properties(properties: Row, rest: Row, entities: Entities) -> Row:
    """Add the parameters and the entities with what the site says."""
    properties = dict(properties)
    for name in [name for name in rest if name in _PROPERTIES]:
        value = rest.pop(name)
        properties[_PROPERTIES[name]] = json_or_text(str(value)) if name in _NUMBERS else value
    of_the_site = {
        name: found[0] if len(found) == 1 else found
        for name, found in entities.by_name.items()
        if name not in _OF_THE_CLIENT
    }
    return {**properties, "entities": of_the_site} if of_the_site else properties


def _document(rest: Row, plain: str, encoded: str) -> dict[str, Any]:
    """Take a JSON document that is plain or in base64; one that cannot be read stays."""
    for name in (plain, encoded):
        if isinstance(text := rest.get(name), str):
            try:
                document = json_or_base64(text)
            except Rejected:
                continue
            if isinstance(document, dict):
                del rest[name]
                return document
    return {}


def _entities(contexts: dict[str, Any]) -> Entities:
    by_name: dict[str, list[dict[str, Any]]] = {}
    found = contexts.get("data")
    for entity in found if isinstance(found, list) else []:
        (schema, data) = _self_described(entity)
        by_name.setdefault(_name_of(schema), []).append(data)
    return Entities(by_name)


def _self_described(value: Any) -> tuple[str, dict[str, Any]]:
    """Return schema and data of a self-describing JSON."""
    if not isinstance(value, dict):
        return "", {"value": value}
    data = value.get("data")
    return str(value.get("schema", "")), data if isinstance(data, dict) else {"value": data}


def _name_of(schema: str) -> str:
    """Return the name of a schema: of iglu:com.acme/signup/jsonschema/1-0-0, signup."""
    parts = schema.split("/")
    return parts[1] if len(parts) > 1 else schema


def _common(rest: Row, entities: Entities) -> Event:
    """Take the members that all types have."""
    event: Event = {field: rest.pop(name) for name, field in _MEMBERS.items() if name in rest}
    session = entities.first("client_session")  # of apps, which send neither `duid` nor `sid`
    event.setdefault("session_id", session.get("sessionId"))
    if session.get("userId") != _NOBODY:
        event.setdefault("visitor_id", session.get("userId") or rest.pop("tnuid", None))
    screen: dict[str, Any] = {}
    for name, prefix in (("res", ""), ("vp", "viewport_")):
        if pixels := size(rest.get(name)):
            screen |= {f"{prefix}width": pixels[0], f"{prefix}height": pixels[1]}
            del rest[name]
    ratio = entities.first("browser_context").get("devicePixelRatio")
    if isinstance(ratio, int | float):
        screen["pixel_ratio"] = ratio
    return {**event, **({"screen": screen} if screen else {}), **_times(rest)}


def _times(rest: Row) -> Event:
    """Take the time that the site knows to be true, or the times of the client's clock."""
    if "ttm" in rest:
        return {"timestamp": iso_time(rest.pop("ttm"), _MILLISECOND)}
    created = iso_time(rest.pop("dtm", None), _MILLISECOND)
    sent = iso_time(rest.pop("stm", None), _MILLISECOND)
    if isinstance(created, str) and isinstance(sent, str):
        # The Python tracker sends whole seconds, which may be before the event.
        sent = max(created, sent)
    return {"timestamp": created, "sent_at": sent}


def _typed(rest: Row, entities: Entities) -> Event:
    kind = str(rest.pop("e", ""))
    if kind == "ue":
        return _self_describing(rest, entities)
    if kind == "pv":
        return {"type": "pageview"}
    if kind == "pp":
        # A ping says that there was activity in the interval of the tracker's configuration,
        # but not how long the interval is: it has no duration.
        return {"type": "pageleave"}
    if kind == "tr":
        return {
            "type": "payment",
            "amount": rest.pop("tr_tt", None),
            "currency": rest.pop("tr_cu", None),
        }
    names = {"se": rest.pop("se_ac", None), "ti": "transaction_item"}
    return {"type": "custom_event", "event_name": names.get(kind) or kind}


def _self_describing(rest: Row, entities: Entities) -> Event:
    (schema, data) = _self_described(_document(rest, "ue_pr", "ue_px").get("data"))
    rest["schema"] = schema
    name = _name_of(schema)
    kind = _KINDS.get(name) if schema.startswith(_VENDORS) else None
    if kind:
        return kind(data, rest, entities)
    return {"type": "custom_event", "event_name": name, "properties": data}


def _link_click(data: Row, rest: Row, _: Entities) -> Event:
    target = data.get("targetUrl")
    if _is_external(str(target), str(rest.get("url"))):
        return {"type": "external_link", "properties": {"url": target, **data}}
    return {"type": "custom_event", "event_name": "link_click", "properties": data}


def _is_external(target: str, page: str) -> bool:
    try:
        (there, here) = (urlsplit(target), urlsplit(page))
    except ValueError:
        return False
    return there.scheme in ("http", "https") and there.hostname != here.hostname


def _button_click(data: Row, _: Row, __: Entities) -> Event:
    return {"type": "button_click", "event_name": data.get("label"), "properties": data}


def _submit_form(data: Row, _: Row, __: Entities) -> Event:
    return {"type": "form_submit", "event_name": data.get("formId"), "properties": data}


def _error(data: Row, _: Row, __: Entities) -> Event:
    data = dict(data)
    return {
        "type": "error",
        "error_name": data.pop("exceptionName", None),
        "error_message": data.pop("message", None),
        "error_stack": data.pop("stackTrace", None),
        "properties": data,
    }


def _screen_view(data: Row, _: Row, __: Entities) -> Event:
    name = data.get("name")
    return {"type": "pageview", "title": name, "path": name, "properties": data}


def _vitals(data: Row, _: Row, __: Entities) -> Event:
    vitals = {name: data[name] for name in VITALS if isinstance(data.get(name), int | float)}
    others = {name: value for name, value in data.items() if name not in vitals}
    return {"type": "web_vitals", "vitals": vitals, "properties": others}


def _ecommerce(data: Row, _: Row, entities: Entities) -> Event:
    """Return a payment for the transaction of either plugin for commerce, else a custom event."""
    kind = data.get("type", data.get("action"))
    if kind in ("transaction", "purchase"):
        order = entities.first("transaction") or entities.first("actionFieldObject")
        return {
            "type": "payment",
            "amount": order.get("revenue"),
            "currency": order.get("currency"),
            "properties": data,
        }
    return {"type": "custom_event", "event_name": kind, "properties": data}


#: The vendors of the schemas in the trackers and their plugins.
_VENDORS = ("iglu:com.snowplowanalytics.", "iglu:com.google.analytics.")
#: Their schemas with a type of ours, or a better name than their own.
_KINDS: dict[str, Callable[[Row, Row, Entities], Event]] = {
    "link_click": _link_click,
    "button_click": _button_click,
    "submit_form": _submit_form,
    "application_error": _error,
    "screen_view": _screen_view,
    "web_vitals": _vitals,
    "snowplow_ecommerce_action": _ecommerce,
    "action": _ecommerce,
}


def _performance(event: Event, entities: Entities) -> list[Event]:
    """Return the time to the first byte of a page view with the timings of its navigation.

    A single-page application repeats them in each view; the id makes them count once.
    """
    timing = entities.first("PerformanceNavigationTiming") or entities.first("PerformanceTiming")
    start = timing.get("navigationStart", timing.get("activationStart", 0))
    response = timing.get("responseStart")
    is_measured = all(isinstance(time, int | float) for time in (start, response))
    if event["type"] != "pageview" or not is_measured or not response:
        return []
    known = {"site_id", "session_id", "visitor_id", "user_id", "url", "timestamp", "sent_at", "ip"}
    vitals = {name: event[name] for name in sorted(known) if event.get(name)}
    if visitor_id := event.get("visitor_id"):
        marks = [timing.get(name) for name in ("fetchStart", "requestStart", "responseStart")]
        vitals["event_id"] = f"{visitor_id}:{start}:{marks}"
    ttfb = max(response - start, 0)
    return [{**vitals, "type": "web_vitals", "vitals": {"ttfb": ttfb}, UNMAPPED: {}}]
