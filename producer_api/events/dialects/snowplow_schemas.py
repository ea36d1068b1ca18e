"""Snowplow's self-describing JSON: the schemas of its trackers and plugins as types of ours."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from producer_api.events.dialects.model import Event
from producer_api.events.fields import VITALS

Row = dict[str, Any]


class Entities(NamedTuple):
    """The entities of an event by the name of their schema."""

    by_name: dict[str, list[dict[str, Any]]]

    def first(self, name: str) -> dict[str, Any]:
        """Return the first entity of a name; an empty object if there is none."""
        return next(iter(self.by_name.get(name, ())), {})


def entities_of(contexts: dict[str, Any]) -> Entities:
    """Return the entities of a document of contexts."""
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


def self_describing_event(document: dict[str, Any], rest: Row, entities: Entities) -> Event:
    """Return the event of a self-describing JSON; `rest` has the other parameters."""
    (schema, data) = _self_described(document.get("data"))
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
