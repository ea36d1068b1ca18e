"""The OpenAPI document of HTTP out."""

from typing import Any, get_args

from schemas.alert_rules import RULES
from schemas.records import VisitState
from schemas.settings import SITE_ID
from sinks.query.lists import DEFAULT_LIMIT, MOST
from sinks.webhooks.asked import MAX_COOLDOWN_SECONDS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_UUID: Schema = {"type": "string", "format": "uuid"}
_SITE: Schema = {
    "name": "site_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{SITE_ID.pattern}$"},
}
_LATEST: Schema = {
    "name": "latest",
    "in": "query",
    "description": "Adds the `latest` events, and `stalled_since`: null while all is counted.",
    "schema": {"const": "1"},
}
_SUBSCRIPTION: Schema = {
    "name": "subscription_id",
    "in": "path",
    "required": True,
    "schema": _UUID,
}


def document() -> Schema:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "headrace", "version": "1", "description": "What headrace knows."},
        "paths": paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": security_schemes(),
        },
    }


def paths() -> Schema:
    """Return what each path answers."""
    own = "/api/sites/{site_id}"
    one = "/api/subscriptions/{subscription_id}"
    delivery = {**_SUBSCRIPTION, "name": "delivery_id"}
    return {
        "/api/sites": _get(
            "Sites that the token may see, by name.",
            _list(_object(site_id=_TEXT)),
            *(_query("cursor", _TEXT), _limit()),
        ),
        f"{own}/live": _get("What happens now.", _ref("Live"), _SITE, _LATEST),
        f"{own}/live/stream": _get("What happens now, on each change.", "SSE", _SITE, _LATEST),
        f"{own}/alerts": _get(
            "Alerts, newest first.",
            _list(_ref("Alert")),
            *(_SITE, _query("rule", {"enum": list(RULES)}), ""),
        ),
        f"{own}/alerts/stream": _get("Alerts as they are raised.", "SSE", _SITE),
        f"{own}/sessions": _get(
            "Visits, newest first.",
            _list({"type": "object"}),
            *(_SITE, _query("state", {"enum": list(get_args(VisitState))}), ""),
        ),
        f"{own}/pages": _get("Time on pages, by hour.", _list(_ref("PageTime")), _SITE, ""),
        "/api/subscriptions": {
            **_get("Subscriptions, newest first.", _list(_ref("Subscription")), "site_id"),
            "post": _does(
                "Subscribe. The secret is shown this once.", "201", body="NewSubscription"
            ),
        },
        one: {
            **_get("A subscription.", _ref("Subscription"), _SUBSCRIPTION),
            "patch": _does("Change a subscription.", "200", _SUBSCRIPTION, body="Change"),
            "delete": _does("End a subscription.", "204", _SUBSCRIPTION),
        },
        f"{one}/test": {"post": _does("Send a test.", "202", _SUBSCRIPTION)},
        f"{one}/deliveries": _get(
            "Deliveries, newest first.", _list({"type": "object"}), _SUBSCRIPTION, ""
        ),
        f"{one}/deliveries/{{delivery_id}}/resend": {
            "post": _does("Send a delivery again.", "202", _SUBSCRIPTION, delivery)
        },
        "/": {"get": {"summary": "The live page.", "responses": {"200": {"description": "HTML"}}}},
    }


def security_schemes() -> Schema:
    """Return how a token is given."""
    return {
        "bearer": {"type": "http", "scheme": "bearer"},
        "access_token": {"type": "apiKey", "in": "query", "name": "access_token"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "headrace_token",
            "description": "The page's; followed by _ and the port where the address has one.",
        },
    }


def components() -> Schema:
    """Return the schemas that the paths refer to."""
    return _schemas()


def _schemas() -> Schema:
    sessions = {"type": "array", "items": {"type": "object"}}
    channel = {**_object(type={"const": "webhook"}, url=_TEXT), "additionalProperties": False}
    changed = {
        "params": {"type": "object"},
        "channel": {**channel, "required": ["type", "url"]},
        "cooldown_seconds": {**_NUMBER, "minimum": 0, "maximum": MAX_COOLDOWN_SECONDS},
        "enabled": {"type": "boolean"},
    }
    return {
        "Refusal": {**_object(error=_TEXT, code=_TEXT, field=_TEXT), "required": ["error", "code"]},
        "Live": _object(
            site_id=_TEXT,
            at=_TIME,
            visitors_now=_NUMBER,
            sessions_now=_NUMBER,
            events_last_minute={"type": "object", "additionalProperties": _NUMBER},
            per_minute={"type": "array", "items": _NUMBER, "minItems": 30, "maxItems": 30},
            pages=sessions,
            referrers=sessions,
        ),
        "Alert": _object(
            alert_id=_UUID,
            site_id=_TEXT,
            rule=_TEXT,
            subject=_TEXT,
            title=_TEXT,
            details={"type": "object"},
            event_id={"type": ["string", "null"], "format": "uuid"},
            raised_at=_TIME,
            seq=_NUMBER,
        ),
        "PageTime": _object(
            site_id=_TEXT,
            hour=_TIME,
            path=_TEXT,
            **dict.fromkeys(
                ("leaves", "total_ms", "min_ms", "max_ms", "p50_ms", "p90_ms"), _NUMBER
            ),
            avg_ms={"type": "number"},
        ),
        "Subscription": _object(
            subscription_id=_UUID,
            site_id=_TEXT,
            rule=_TEXT,
            **changed,
            disabled_reason={"type": ["string", "null"]},
            created_at=_TIME,
            updated_at=_TIME,
        ),
        "NewSubscription": {
            **_object(site_id=_SITE["schema"], rule={"enum": list(RULES)}, **changed),
            "required": ["site_id", "rule", "channel"],
            "additionalProperties": False,
        },
        "Change": {**_object(**changed), "additionalProperties": False},
    }


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(item: Schema) -> Schema:
    items = {"type": "array", "items": item}
    return _object(items=items, next_cursor={"type": ["string", "null"]})


def _limit() -> Schema:
    return _query("limit", {**_NUMBER, "default": DEFAULT_LIMIT, "maximum": MOST})


def _get(summary: str, schema: Schema | str, *parameters: Schema | str) -> Schema:
    """Describe reading; a parameter that is a text is a filter of a list, which may have none."""
    given = [parameter for parameter in parameters if isinstance(parameter, dict)]
    filters = [parameter for parameter in parameters if isinstance(parameter, str)]
    if filters:
        given += [_query(name, _TEXT) for name in (*filters, "cursor") if name]
        given.append(_limit())
        given += [_query(name, _TIME) for name in ("from", "to")]
    content = (
        {"text/event-stream": {"schema": _TEXT}}
        if isinstance(schema, str)
        else {"application/json": {"schema": schema}}
    )
    described = {"summary": summary, "parameters": given, "security": _security()}
    return {"get": {**described, "responses": {"200": _response(content), **_refusals()}}}


def _does(summary: str, status: str, *parameters: Schema, body: str = "") -> Schema:
    does = {
        "summary": summary,
        "parameters": list(parameters),
        "security": _security(),
        "responses": {status: {"description": "Done."}, **_refusals()},
    }
    if body:
        does["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(body)}},
        }
    return does


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _response(content: Schema) -> Schema:
    return {"description": "What was asked for.", "content": content}


def _refusals() -> Schema:
    sentences = {
        "400": "A parameter or field is wrong; `field` names it.",
        "401": "No token, or none that works.",
        "403": "Another site's.",
        "404": "There is no such thing, or no such path.",
        "405": "The path does not take this method; `Allow` names those that it takes.",
        "413": "The body is too large.",
        "503": "Not now; `Retry-After` says when.",
    }
    content = {"application/json": {"schema": _ref("Refusal")}}
    return {
        status: {"description": sentence, "content": content}
        for status, sentence in sentences.items()
    }


def _security() -> list[Schema]:
    return [{name: []} for name in security_schemes()]
