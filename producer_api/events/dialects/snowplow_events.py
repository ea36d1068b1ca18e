"""The events of the Snowplow tracker protocol: a row of a batch as events."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from producer_api.events.dialects.decoding import json_or_base64
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.snowplow_schemas import (
    Entities,
    Row,
    entities_of,
    self_describing_event,
)
from producer_api.events.dialects.values import MILLISECOND, iso_time, json_or_text, size
from producer_api.events.rejection import Rejected

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
#: Parameters that say whose event it is.
_OF_THE_VISITOR = ("uid", "duid", "tnuid", "sid", "ip", "ua")
#: The visitor of a tracker that may not identify any.
_NOBODY = "00000000-0000-0000-0000-000000000000"


def with_orders(rows: list[Any]) -> list[Any]:
    """Return the rows; those of items have the ids of their order, which the Java tracker omits."""
    objects = [row for row in rows if isinstance(row, dict)]
    orders = {str(row.get("tr_id")): row for row in objects if row.get("e") == "tr"}
    if not orders:
        return rows
    for number, row in enumerate(rows):
        if isinstance(row, dict) and row.get("e") == "ti":
            order = orders.get(str(row.get("ti_id")), {})
            rows[number] = {**{name: order.get(name) for name in _OF_THE_VISITOR}, **row}
    return rows


def events_of(row: Any, query: Mapping[str, str]) -> list[Event]:
    """Return the event of a row, and the performance of the page if a page view reports it."""
    if not isinstance(row, dict):
        return [{UNMAPPED: {"row": row}}]
    rest = {name: value for name, value in {**row, **query}.items() if value not in (None, "")}
    entities = entities_of(_document(rest, "co", "cx"))
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
        return {"timestamp": iso_time(rest.pop("ttm"), MILLISECOND)}
    (created, sent) = (rest.pop("dtm", None), rest.pop("stm", None))
    with suppress(TypeError, ValueError, OverflowError):
        # The Python tracker sends whole seconds, which may be before the event.
        sent = max(float(created), float(sent))
    return {
        "timestamp": iso_time(created, MILLISECOND),
        "sent_at": iso_time(sent, MILLISECOND),
    }


def _typed(rest: Row, entities: Entities) -> Event:
    kind = str(rest.pop("e", ""))
    if kind == "ue":
        return self_describing_event(_document(rest, "ue_pr", "ue_px"), rest, entities)
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
