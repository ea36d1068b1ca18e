"""The OpenAPI document, generated from the event types, the field table and the reject reasons."""

from typing import Any, get_args

from producer_api.events.batch import MAX_EVENTS
from producer_api.events.dialects.registry import DIALECTS
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
from producer_api.events.times import Clamped
from producer_api.http.body import MAX_BATCH_BYTES, MAX_EVENT_BYTES
from producer_api.tracker.scripts import NAMES, Script, load
from schemas.event_fields import MEANINGS
from schemas.event_types import EVENT_TYPES
from schemas.operational_endpoints import machine_paths
from schemas.reject_reasons import RejectReason
from schemas.settings import SITE_ID

Schema = dict[str, Any]

_SENDING = (
    "A 202 response means that Kafka has confirmed the event. With your own event_id, it is safe"
    " to send the event again. Who may send is configured by site: docs/access.md. Duplicate and"
    " trailing slashes in the path are ignored. Every error has a message and a code.\n\nThe server"
    " also accepts what the clients of other systems send to their own paths, and responds as they"
    f" expect: {', '.join(dialect.title for dialect in DIALECTS)}; see docs/dialects.md."
)
_EXAMPLE: Schema = {
    "type": "pageview",
    "site_id": "my-site",
    "session_id": "s1",
    "url": "https://example.com/pricing",
    "screen": {"width": 1440, "height": 900},
}
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ID: Schema = {"type": "string", "maxLength": MAX_ID_CHARACTERS}
_UUID: Schema = {"type": "string", "format": "uuid"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PUBLIC: Schema = {"tags": ["Sending events"], "security": []}
_SEND: Schema = {
    **_PUBLIC,
    "security": [{}, {"site_key": []}],
    "parameters": [
        {
            "name": "Content-Encoding",
            "in": "header",
            "description": "The size limits apply to the decompressed body.",
            "schema": {"enum": ["gzip", "identity"]},
        }
    ],
}
_ERROR_MEMBERS: Schema = {
    "error": {**_TEXT, "description": "A message for humans."},
    "code": {
        **_TEXT,
        "enum": [reason.code for reason in RejectReason],
        "x-sentences": {reason.code: reason.sentence for reason in RejectReason},
    },
    "field": _TEXT,
    "missing": {"type": "array", "items": _TEXT},
    "retry_after": {**_COUNT, "description": "Seconds to wait, if a rate limit was exceeded."},
}


def document() -> Schema:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "headrace",
            "version": "1",
            "description": "Accepts events over HTTP and writes them to Kafka.",
        },
        "tags": [
            {"name": "Sending events", "description": _SENDING},
            {"name": "Operation", "description": "For load balancers, monitoring and tools."},
        ],
        "paths": {
            "/api/event": {"post": _send_one(), "options": _preflight("event")},
            "/api/events": {"post": _send_many(), "options": _preflight("events")},
            **{script.path: {"get": _script(script)} for script in map(load, NAMES)},
            **machine_paths(),
        },
        "components": {
            "securitySchemes": {
                "site_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A site key, hrk_..., of `headrace keys create`; for back ends.",
                }
            },
            "schemas": {
                "Event": event_schema(),
                **{event_type.name: _type_schema(name) for name, event_type in EVENT_TYPES.items()},
                "Batch": _batch(),
                "Accepted": _required(status={"const": "accepted"}, event_id=_UUID),
                "Results": _results(),
                "Error": {
                    "type": "object",
                    "required": ["error", "code"],
                    "properties": _ERROR_MEMBERS,
                },
            },
        },
    }


def event_schema() -> Schema:
    """Return the schema of all fields that the API knows."""
    sentences = {name: event_type.about for name, event_type in EVENT_TYPES.items()}
    properties: Schema = {
        "type": {**_TEXT, "enum": list(EVENT_TYPES), "x-sentences": sentences},
        "site_id": {"type": "string", "pattern": f"^{SITE_ID.pattern}$"},
        "session_id": {**_ID, "minLength": 1},
        "event_id": _UUID,
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
    return {**_TEXT, "description": f"The first {limit:,} {unit} are kept."}


def _optional(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema


_FIELD_SCHEMAS: dict[str, Schema] = {
    "visitor_id": _ID,
    "user_id": _ID,
    **{name: _truncated(limit) for name, limit in TEXTS.items()},
    "error_stack": _truncated(MAX_STACK_BYTES, "bytes"),
    "screen": _object((*SCREEN_PIXELS, "pixel_ratio"), _NUMBER),
    "utm": _object(UTM, _TEXT),
    "ad_click_ids": {"type": "object", "additionalProperties": _TEXT},
    "duration": {**_NUMBER, "minimum": 0},
    "properties": {
        "type": "object",
        "description": f"At most {MAX_JSON_BYTES:,} bytes as JSON, "
        f"nested at most {MAX_PROPERTIES_DEPTH} levels deep.",
    },
    "vitals": _object(VITALS, _NUMBER),
    "amount": {
        "anyOf": [_NUMBER, _TEXT, {"type": "null"}],
        "description": "Exact: up to 19 digits before the decimal point and six after it. Further "
        "decimals are rounded half up, and the record's `truncated` then names `amount`.",
    },
    "ip": _TEXT,
    "currency": {**_TEXT, "pattern": "^[A-Za-z]{3}$"},
}


def _type_schema(name: str) -> Schema:
    event_type = EVENT_TYPES[name]
    own = ", ".join(event_type.fields) or "none"
    return {
        "allOf": [
            {"$ref": "#/components/schemas/Event"},
            {"type": "object", "properties": {"type": {"const": name}}},
        ],
        "description": f"{event_type.about.capitalize()}. Fields of this type: {own}.",
    }


def _batch() -> Schema:
    events = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Event"},
        "minItems": 1,
        "maxItems": MAX_EVENTS,
    }
    return {"anyOf": [events, _required(events=events)]}


def _results() -> Schema:
    result: Schema = {
        "type": "object",
        "required": ["index", "status"],
        "properties": {
            "index": {**_COUNT, "description": "The position in the batch, from 0."},
            "status": {**_TEXT, "enum": ["accepted", "rejected", "failed"]},
            "event_id": {**_UUID, "description": "Present if the event was accepted."},
            "clamped": {
                "enum": list(get_args(Clamped)),
                "description": "Present if the timestamp was replaced by the nearest allowed one.",
            },
            **_ERROR_MEMBERS,
        },
    }
    schema = _required(accepted=_COUNT, rejected=_COUNT, results={"type": "array", "items": result})
    schema["properties"]["failed"] = {**_COUNT, "description": "Present if not 0."}
    return schema


def _required(**properties: Schema) -> Schema:
    """Return the schema of an object with these members, all required."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _send_one() -> Schema:
    return {
        **_SEND,
        "operationId": "send_event",
        "summary": "Send one event.",
        "description": f"At most {MAX_EVENT_BYTES:,} bytes, also after decompression.",
        "requestBody": _body("Event", _EXAMPLE, "application/json", "text/plain"),
        "responses": {
            "202": _response("Kafka has confirmed the event.", "Accepted"),
            **_error_responses("Error"),
        },
    }


def _send_many() -> Schema:
    return {
        **_SEND,
        "operationId": "send_events",
        "summary": "Send a batch of events; each is validated separately.",
        "description": f"At most {MAX_EVENTS:,} events and {MAX_BATCH_BYTES:,} bytes.",
        "requestBody": _body("Batch", [_EXAMPLE], "application/json", "application/x-ndjson"),
        "responses": {
            "202": _response("Kafka has confirmed all events.", "Results"),
            "207": _response("Kafka has confirmed some events; see `results`.", "Results"),
            **_error_responses("Error", "Results"),
        },
    }


def _preflight(name: str) -> Schema:
    return {
        **_PUBLIC,
        "operationId": f"preflight_{name}",
        "summary": "CORS preflight: every origin and header is allowed, for a day.",
        "responses": {"204": {"description": "Allowed."}},
    }


def _script(script: Script) -> Schema:
    name = script.path[1:]
    content = {"text/javascript": {"schema": _TEXT}}
    return {
        **_PUBLIC,
        "operationId": f"get_{name.replace('.', '_')}",
        "summary": f"The tracker, {name}: see docs/tracker.md.",
        "responses": {
            "200": {"description": "The script.", "content": content},
            "304": {"description": "The client has this version."},
        },
    }


def _body(schema: str, example: Any, *content_types: str) -> Schema:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {"required": True, "content": dict.fromkeys(content_types, content)}


def _error_responses(*schemas: str) -> Schema:
    codes: dict[int, list[str]] = {}
    for reason in RejectReason:
        codes.setdefault(reason.status, []).append(reason.code)
    return {
        str(status): _response("Codes: " + ", ".join(names), *schemas)
        for status, names in sorted(codes.items())
    }


def _response(description: str, *schemas: str) -> Schema:
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
