"""The OpenAPI document of HTTP out."""

import json
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from schemas.operations import machine_paths
from sinks.query import import_windows, page, sites, subscriptions
from sinks.query.errors import CODES
from sinks.query.models import ErrorBody, ImportWindow, Message, PageTokenBody
from sinks.query.subscriptions import EXAMPLE_ID
from sinks.webhooks.asked import NewSubscription, SubscriptionChange

_READING = (
    "What is known of a site, for those who have a token of it (headrace tokens create). Lists are"
    " read page by page: next_cursor is the cursor of the next page, and null behind the last."
    " HEAD is answered as GET is, without a body."
)
_SUBSCRIBING = (
    "Alerts that are sent to a webhook of yours, as Standard Webhooks: docs/subscriptions.md."
)
_IMPORTING = (
    "For a bounded time, a site's events keep timestamps of any age: docs/imports.md. The token"
    " needs the scope manage."
)
_PAGE = "What happens now, for people; it opens with a token in its address or its token field."
_TAGS = [
    {"name": "Reading", "description": _READING},
    {"name": "Subscriptions", "description": _SUBSCRIBING},
    {"name": "Imports", "description": _IMPORTING},
    {"name": page.TAG, "description": _PAGE},
    {"name": "Operation", "description": "For load balancers, monitoring and tools."},
]
ROUTERS = (sites.router, subscriptions.router, import_windows.router, page.router)
#: The framework does not know errors, nor bodies that are read after the token was checked.
_BODIES = (ErrorBody, NewSubscription, SubscriptionChange, ImportWindow, PageTokenBody)

Schema = dict[str, Any]

_MESSAGE: Schema = {
    "type": "alert.raised",
    "timestamp": "2026-01-31T12:00:00.000000Z",
    "data": {
        "alert_id": EXAMPLE_ID,
        "site_id": "my-site",
        "rule": "payment",
        "subject": "s1",
        "title": "Payment of 49.90 EUR",
        "details": {"amount": "49.900000", "currency": "EUR"},
        "event_id": EXAMPLE_ID,
        "raised_at": "2026-01-31T12:00:00.000000Z",
        "seq": 1,
    },
}


async def alert(message: Message) -> None:
    """With the headers webhook-id, webhook-timestamp and webhook-signature.

    The same alert may come twice, with the same webhook-id. An alert.digest stands for alerts that
    exceed the deliveries of a subscription in a minute, an hour or a cooldown.
    """


_RECEIVED: dict[int | str, dict[str, Any]] = {
    "2XX": {"description": "It is delivered."},
    "410": {"description": "The subscription is turned off."},
    "default": {"description": "It is sent again later, for three days."},
}


def document() -> Schema:
    """Return the whole document."""
    app = FastAPI(generate_unique_id_function=lambda route: route.name)
    for router in ROUTERS:
        app.include_router(router)
    app.webhooks.post(
        "alert",
        operation_id="receive_alert",
        summary="An alert, sent to the address of a subscription.",
        responses=_RECEIVED,
        openapi_extra={"requestBody": {"content": {"application/json": {"example": _MESSAGE}}}},
    )(alert)
    whole = get_openapi(
        title="headrace",
        version="1",
        description="What headrace knows.",
        routes=app.routes,
        webhooks=app.webhooks.routes,
        tags=_TAGS,
    )
    for item in whole["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)  # a wrong parameter is answered with 400
    whole["webhooks"]["alert"]["post"]["responses"].pop("200")
    _add_schemas(whole["components"]["schemas"])
    whole["paths"] |= machine_paths()
    # `Page[Alert]` is called `Page_Alert_`.
    renamed: Schema = json.loads(re.sub(r"\bPage_([A-Za-z]+)_", r"\1Page", json.dumps(whole)))
    return renamed


def _add_schemas(schemas: Schema) -> None:
    """Add what the framework does not know, and remove what it adds for its own errors."""
    (_, bodies) = models_json_schema(
        [(model, "validation") for model in _BODIES],
        ref_template="#/components/schemas/{model}",
    )
    schemas |= bodies["$defs"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ErrorBody"]["properties"]["code"] |= {"enum": list(CODES), "x-sentences": CODES}
