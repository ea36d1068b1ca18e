"""The OpenAPI document of HTTP out."""

import json
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from query_api import import_windows, page, registered_sites, sites, subscriptions
from query_api.errors import CODES
from query_api.models import ErrorBody, ImportWindow, Message, PageTokenBody
from query_api.subscriptions import EXAMPLE_ID
from schemas.operational_endpoints import machine_paths
from sinks.delivery.subscription_spec import NewSubscription, SubscriptionChange
from sinks.sites.spec import NewSite, NewSiteKey, SiteChange

_READING = (
    "Read the data of a site, with a token that has access to it (headrace tokens create). Lists"
    " are paginated: next_cursor is the cursor of the next page, null on the last page. HEAD is"
    " supported for all GET paths."
)
_SUBSCRIBING = "Send alerts to your webhook, according to Standard Webhooks: docs/subscriptions.md."
_IMPORTING = (
    "Accept timestamps of any age in the events of a site for a limited time: docs/imports.md."
    " Requires a token with the scope manage."
)
_REGISTERING = (
    "Register sites, the origins and back ends that may send their events, and limits:"
    " docs/access.md. Requires a token with the scope manage."
)
_PAGE = "The dashboard with live counters. It needs a token, in its URL or its token field."
_TAGS = [
    {"name": "Reading", "description": _READING},
    {"name": "Sites", "description": _REGISTERING},
    {"name": "Subscriptions", "description": _SUBSCRIBING},
    {"name": "Imports", "description": _IMPORTING},
    {"name": page.TAG, "description": _PAGE},
    {"name": "Operation", "description": "For load balancers, monitoring and other tools."},
]
ROUTERS = (
    sites.router,
    registered_sites.router,
    subscriptions.router,
    import_windows.router,
    page.router,
)
#: Models that FastAPI does not find: errors, and bodies that are read after the token check.
_BODIES = (
    *(ErrorBody, NewSubscription, SubscriptionChange, ImportWindow, PageTokenBody),
    *(NewSite, SiteChange, NewSiteKey),
)

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
        "details": {"session_id": "s1", "amount": "49.90", "currency": "EUR"},
        "event_id": EXAMPLE_ID,
        "raised_at": "2026-01-31T12:00:00.000000Z",
        "seq": 1,
    },
}


async def alert(message: Message) -> None:
    """Sent with the headers webhook-id, webhook-timestamp and webhook-signature.

    An alert may be delivered more than once, with the same webhook-id. An alert.digest contains
    the alerts over the delivery limit of a subscription per minute, hour or cooldown.
    """


_RECEIVED: dict[int | str, dict[str, Any]] = {
    "2XX": {"description": "Delivered."},
    "410": {"description": "The subscription is disabled."},
    "default": {"description": "Retried for up to three days."},
}


def document() -> Schema:
    """Return the OpenAPI document."""
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
    schema = get_openapi(
        title="headrace",
        version="1",
        description="Read analytics and manage subscriptions.",
        routes=app.routes,
        webhooks=app.webhooks.routes,
        tags=_TAGS,
    )
    for item in schema["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)  # invalid parameters get 400
    schema["webhooks"]["alert"]["post"]["responses"].pop("200")
    _add_schemas(schema["components"]["schemas"])
    schema["paths"] |= machine_paths()
    # FastAPI's name of `Page[Alert]` is `Page_Alert_`.
    renamed: Schema = json.loads(re.sub(r"\bPage_([A-Za-z]+)_", r"\1Page", json.dumps(schema)))
    return renamed


def _add_schemas(schemas: Schema) -> None:
    """Add the schemas that FastAPI does not find, and remove those of its default errors."""
    (_, bodies) = models_json_schema(
        [(model, "validation") for model in _BODIES],
        ref_template="#/components/schemas/{model}",
    )
    schemas |= bodies["$defs"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ErrorBody"]["properties"]["code"] |= {"enum": list(CODES), "x-sentences": CODES}
