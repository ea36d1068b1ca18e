"""The OpenAPI document, made from the registry, the field table and the reject reasons."""

from typing import Any, get_args

from producer_api.batch import MAX_EVENTS
from producer_api.body import MAX_BATCH_BYTES, MAX_EVENT_BYTES
from producer_api.fields import (
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
from producer_api.parse import REQUIRED
from producer_api.times import Clamped
from schemas.event_types import EVENT_TYPES
from schemas.operations import machine_paths
from schemas.reject_reasons import RejectReason
from schemas.settings import SITE_ID

Schema = dict[str, Any]

_SENDING = (
    "An answer of 202 means that Kafka has the event; an event_id of your own makes it safe to send"
    " it again. Browsers may send from pages of any origin. Duplicate and trailing slashes in the"
    " path do not count. Every error has a sentence and a code."
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
_OPEN: Schema = {"tags": ["Sending events"], "security": []}
_SEND: Schema = {
    **_OPEN,
    "parameters": [
        {
            "name": "Content-Encoding",
            "in": "header",
            "description": "The limits hold for what is unpacked.",
            "schema": {"enum": ["gzip", "identity"]},
        }
    ],
}
_ERROR_MEMBERS: Schema = {
    "error": {**_TEXT, "description": "A sentence."},
    "code": {
        **_TEXT,
        "enum": [reason.code for reason in RejectReason],
        "x-sentences": {reason.code: reason.sentence for reason in RejectReason},
    },
    "field": _TEXT,
    "missing": {"type": "array", "items": _TEXT},
}


def document() -> Schema:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "headrace",
            "version": "1",
            "description": "Events over HTTP, confirmed once Kafka has them.",
        },
        "tags": [
            {"name": "Sending events", "description": _SENDING},
            {"name": "Operation", "description": "For load balancers, monitoring and tools."},
        ],
        "paths": {
            "/api/event": {"post": _send_one(), "options": _preflight("event")},
            "/api/events": {"post": _send_many(), "options": _preflight("events")},
            **machine_paths(),
        },
        "components": {
            "schemas": {
                "Event": event_schema(),
                **{event_type.name: _of_type(name) for name, event_type in EVENT_TYPES.items()},
                "Batch": _batch(),
                "Accepted": _required(status={"const": "accepted"}, event_id=_UUID),
                "Results": _results(),
                "Error": {
                    "type": "object",
                    "required": ["error", "code"],
                    "properties": _ERROR_MEMBERS,
                },
            }
        },
    }


def event_schema() -> Schema:
    """Return what all events share: every field that the API knows."""
    sentences = {name: of_type.about for name, of_type in EVENT_TYPES.items()}
    properties: Schema = {
        "type": {**_TEXT, "enum": list(EVENT_TYPES), "x-sentences": sentences},
        "site_id": {"type": "string", "pattern": f"^{SITE_ID.pattern}$"},
        "session_id": {**_ID, "minLength": 1},
        "event_id": {**_UUID, "description": "Counts once."},
        "timestamp": {**_TIME, "description": "When it happened, by the client's clock."},
        "sent_at": {**_TIME, "description": "The client's clock at sending, to correct it."},
        **{name: _optional(_FIELD_SCHEMAS[name]) for name in FIELDS},
    }
    return {
        "type": "object",
        "required": list(REQUIRED),
        "properties": properties,
        "additionalProperties": True,
    }


def _object(members: tuple[str, ...], schema: Schema) -> Schema:
    return {"type": "object", "properties": dict.fromkeys(members, schema)}


def _kept(limit: int, unit: str = "characters") -> Schema:
    return {**_TEXT, "description": f"The first {limit:,} {unit} are kept."}


def _optional(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema


_FIELD_SCHEMAS: dict[str, Schema] = {
    "visitor_id": _ID,
    "user_id": _ID,
    **{name: _kept(limit) for name, limit in TEXTS.items()},
    "error_stack": _kept(MAX_STACK_BYTES, "bytes"),
    "screen": _object((*SCREEN_PIXELS, "pixel_ratio"), _NUMBER),
    "utm": _object(UTM, _TEXT),
    "ad_click_ids": {"type": "object", "additionalProperties": _TEXT},
    "duration": {**_NUMBER, "minimum": 0, "description": "Milliseconds."},
    "properties": {
        "type": "object",
        "description": f"At most {MAX_JSON_BYTES:,} bytes as JSON, "
        f"nested at most {MAX_PROPERTIES_DEPTH} levels deep.",
    },
    "vitals": _object(VITALS, _NUMBER),
    "amount": {
        "anyOf": [_NUMBER, _TEXT, {"type": "null"}],
        "description": "Exact: up to 19 digits before the point, and six behind it. Further "
        "decimals are rounded half up, and the record's `truncated` then names `amount`.",
    },
    "currency": {**_TEXT, "pattern": "^[A-Za-z]{3}$", "description": "ISO 4217."},
}


def _of_type(name: str) -> Schema:
    event_type = EVENT_TYPES[name]
    own = ", ".join(event_type.fields) or "none"
    return {
        "allOf": [
            {"$ref": "#/components/schemas/Event"},
            {"type": "object", "properties": {"type": {"const": name}}},
        ],
        "description": f"{event_type.about.capitalize()}. Fields of its own: {own}.",
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
            "index": {**_COUNT, "description": "Its place in the batch, from 0."},
            "status": {**_TEXT, "enum": ["accepted", "rejected", "failed"]},
            "event_id": {**_UUID, "description": "Of an accepted one."},
            "clamped": {
                "enum": list(get_args(Clamped)),
                "description": "Present when the timestamp was replaced by the nearest allowed.",
            },
            **_ERROR_MEMBERS,
        },
    }
    whole = _required(accepted=_COUNT, rejected=_COUNT, results={"type": "array", "items": result})
    whole["properties"]["failed"] = {**_COUNT, "description": "Present when there are some."}
    return whole


def _required(**properties: Schema) -> Schema:
    """Return the schema of an object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _send_one() -> Schema:
    return {
        **_SEND,
        "operationId": "send_event",
        "summary": "Send one event.",
        "description": f"At most {MAX_EVENT_BYTES:,} bytes, unpacked or not.",
        "requestBody": _body("Event", _EXAMPLE, "application/json", "text/plain"),
        "responses": {"202": _answer("Kafka has the event.", "Accepted"), **_refusals("Error")},
    }


def _send_many() -> Schema:
    return {
        **_SEND,
        "operationId": "send_events",
        "summary": "Send many events; each is judged alone.",
        "description": f"At most {MAX_EVENTS:,} events and {MAX_BATCH_BYTES:,} bytes.",
        "requestBody": _body("Batch", [_EXAMPLE], "application/json", "application/x-ndjson"),
        "responses": {
            "202": _answer("Kafka has all of them.", "Results"),
            "207": _answer("Kafka has some of them; `results` tells which.", "Results"),
            **_refusals("Error", "Results"),
        },
    }


def _preflight(name: str) -> Schema:
    return {
        **_OPEN,
        "operationId": f"preflight_{name}",
        "summary": "The preflight of CORS: every origin, method and header is allowed for a day.",
        "responses": {"204": {"description": "Allowed."}},
    }


def _body(schema: str, example: Any, *content_types: str) -> Schema:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {"required": True, "content": dict.fromkeys(content_types, content)}


def _refusals(*schemas: str) -> Schema:
    codes: dict[int, list[str]] = {}
    for reason in RejectReason:
        codes.setdefault(reason.status, []).append(reason.code)
    return {
        str(status): _answer("Codes: " + ", ".join(names), *schemas)
        for status, names in sorted(codes.items())
    }


def _answer(description: str, *schemas: str) -> Schema:
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
