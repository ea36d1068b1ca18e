"""The JSON schemas of events, generated from the event types and the field table."""

from typing import Any

from producer_api.events.batch import MAX_EVENTS
from producer_api.events.fields import (
    FIELDS,
    MAX_ID_CHARACTERS,
    MAX_JSON_BYTES,
    MAX_PROPERTIES_DEPTH,
    MAX_STACK_BYTES,
    SCREEN_PIXELS,
    TEXTS,
    UTM,
    VITALS,
)
from producer_api.events.parse import REQUIRED
from schemas.event_fields import MEANINGS
from schemas.event_types import EVENT_TYPES
from schemas.settings import SITE_ID

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
UUID: Schema = {"type": "string", "format": "uuid"}
_NUMBER: Schema = {"type": "number"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ID: Schema = {"type": "string", "maxLength": MAX_ID_CHARACTERS}


def event_schema() -> Schema:
    """Return the schema of all fields that the API knows."""
    sentences = {name: event_type.about for name, event_type in EVENT_TYPES.items()}
    properties: Schema = {
        "type": {**TEXT, "enum": list(EVENT_TYPES), "x-sentences": sentences},
        "site_id": {"type": "string", "pattern": f"^{SITE_ID.pattern}$"},
        "session_id": {**_ID, "minLength": 1},
        "event_id": UUID,
        "timestamp": _TIME,
        "sent_at": _TIME,
        **{name: _optional(_FIELD_SCHEMAS[name]) for name in FIELDS},
    }
    return {
        "type": "object",
        "required": list(REQUIRED),
        "properties": {name: _described(name, properties[name]) for name in properties},
        "additionalProperties": True,
    }


def _described(name: str, schema: Schema) -> Schema:
    """Return the schema of a field with its meaning, before the description of its limits."""
    limits = schema.get("description", "")
    return {**schema, "description": f"{MEANINGS[name]} {limits}".rstrip()}


def _object(members: tuple[str, ...], schema: Schema) -> Schema:
    return {"type": "object", "properties": dict.fromkeys(members, schema)}


def _truncated(limit: int, unit: str = "characters") -> Schema:
    return {**TEXT, "description": f"The first {limit:,} {unit} are kept."}


def _optional(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema


_FIELD_SCHEMAS: dict[str, Schema] = {
    "visitor_id": _ID,
    "user_id": _ID,
    **{name: _truncated(limit) for name, limit in TEXTS.items()},
    "error_stack": _truncated(MAX_STACK_BYTES, "bytes"),
    "screen": _object((*SCREEN_PIXELS, "pixel_ratio"), _NUMBER),
    "utm": _object(UTM, TEXT),
    "ad_click_ids": {"type": "object", "additionalProperties": TEXT},
    "duration": {**_NUMBER, "minimum": 0},
    "properties": {
        "type": "object",
        "description": f"At most {MAX_JSON_BYTES:,} bytes as JSON, "
        f"nested at most {MAX_PROPERTIES_DEPTH} levels deep.",
    },
    "vitals": _object(VITALS, _NUMBER),
    "amount": {
        "anyOf": [_NUMBER, TEXT, {"type": "null"}],
        "description": "Exact: up to 19 digits before the decimal point and six after it. Further "
        "decimals are rounded half up, and the record's `truncated` then names `amount`.",
    },
    "ip": TEXT,
    "currency": {**TEXT, "pattern": "^[A-Za-z]{3}$"},
}


def type_schema(name: str) -> Schema:
    """Return the schema of an event type."""
    event_type = EVENT_TYPES[name]
    own = ", ".join(event_type.fields) or "none"
    return {
        "allOf": [
            {"$ref": "#/components/schemas/Event"},
            {"type": "object", "properties": {"type": {"const": name}}},
        ],
        "description": f"{event_type.about.capitalize()}. Fields of this type: {own}.",
    }


def batch_schema() -> Schema:
    """Return the schema of a batch."""
    events = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Event"},
        "minItems": 1,
        "maxItems": MAX_EVENTS,
    }
    return {"anyOf": [events, object_schema(events=events)]}


def object_schema(**properties: Schema) -> Schema:
    """Return the schema of an object with these members, all required."""
    return {"type": "object", "required": list(properties), "properties": properties}
