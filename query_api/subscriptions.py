"""The paths of subscriptions: `/api/subscriptions`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field

from query_api.auth import Granted, make_router, require_site, validate_site
from query_api.concurrency import InSlot
from query_api.errors import not_found
from query_api.lists import ListParameters, ListQuery, slice_of
from query_api.models import CreatedSubscription, Delivery, Page, Subscription
from query_api.request_body import JsonBody, openapi_body
from sinks.delivery.service import Subscriptions
from sinks.delivery.subscription_spec import NewSubscription, SubscriptionChange

#: The types of the sort key, which both lists have in common.
_KEY = (datetime, UUID)

EXAMPLE_ID = "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"
_EXAMPLE = {
    "site_id": "my-site",
    "rule": "payment",
    "params": {"min_amount": 100, "currency": "EUR"},
    "channel": {"type": "webhook", "url": "https://example.com/hooks/headrace"},
}

_Id = Annotated[str, Path(json_schema_extra={"format": "uuid"}, examples=[EXAMPLE_ID])]

router = make_router("/api/subscriptions", "Subscriptions")


class SubscriptionParameters(ListParameters):
    """The parameters of subscriptions."""

    site_id: str | None = Field(default=None, description="Only subscriptions of this site.")


async def _service(request: Request) -> Subscriptions:
    service: Subscriptions = request.app.state.query.services.subscriptions
    return service


Service = Annotated[Subscriptions, Depends(_service)]


async def _allowed(
    request: Request, grant: Granted, service: Service, subscription_id: _Id
) -> dict[str, Any]:
    subscription = await service.get(_uuid(request, subscription_id))
    require_site(grant, subscription["site_id"])
    return subscription


#: The subscription in the path, to whose site the token grants access.
Allowed = Annotated[dict[str, Any], Depends(_allowed)]


@router.post(
    "",
    status_code=201,
    response_model=CreatedSubscription,
    summary="Create a subscription.",
    openapi_extra=openapi_body(NewSubscription, _EXAMPLE),
)
async def create_subscription(grant: Granted, service: Service, body: JsonBody) -> Any:
    """Return the subscription with its secret, which no other response contains."""
    validate_site(grant, body.get("site_id"))
    return await service.create(body)


@router.get("", response_model=Page[Subscription], summary="List subscriptions, newest first.")
async def list_subscriptions(
    grant: Granted,
    service: Service,
    in_slot: InSlot,
    query: Annotated[SubscriptionParameters, Query()],
) -> Any:
    """List the subscriptions of all sites of the token, or of one site."""
    sites = None if grant.sites is None else sorted(grant.sites)
    if query.site_id is not None:
        sites = [validate_site(grant, query.site_id)]
    part = slice_of(query, _KEY)
    return await in_slot(lambda: service.list(sites, part))


@router.get("/{subscription_id}", response_model=Subscription, summary="Get a subscription.")
async def get_subscription(subscription: Allowed) -> Any:
    """Return the subscription without its secret."""
    return subscription


@router.patch(
    "/{subscription_id}",
    response_model=Subscription,
    summary="Update a subscription.",
    openapi_extra=openapi_body(SubscriptionChange, {"enabled": False}),
)
async def change_subscription(subscription: Allowed, service: Service, body: JsonBody) -> Any:
    """Change the fields in the body; the others keep their values."""
    return await service.patch(subscription["subscription_id"], body)


@router.delete(
    "/{subscription_id}", status_code=204, response_class=Response, summary="Delete a subscription."
)
async def delete_subscription(subscription: Allowed, service: Service) -> None:
    """Delete the subscription and cancel its pending deliveries."""
    await service.delete(subscription["subscription_id"])


@router.post(
    "/{subscription_id}/test",
    status_code=202,
    response_model=Delivery,
    summary="Send a test delivery.",
)
async def test_subscription(subscription: Allowed, service: Service) -> Any:
    """Send a test message, which is delivered like an alert."""
    return await service.test(subscription["subscription_id"])


@router.get(
    "/{subscription_id}/deliveries",
    response_model=Page[Delivery],
    summary="List deliveries, newest first.",
)
async def list_deliveries(
    subscription: Allowed, service: Service, in_slot: InSlot, query: ListQuery
) -> Any:
    """List deliveries with their attempts."""
    part = slice_of(query, _KEY)
    return await in_slot(lambda: service.deliveries(subscription["subscription_id"], part))


@router.post(
    "/{subscription_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    response_model=Delivery,
    summary="Resend a delivery.",
)
async def resend_delivery(
    request: Request, subscription: Allowed, service: Service, delivery_id: _Id
) -> Any:
    """Restart the retry schedule of the delivery."""
    return await service.resend(subscription["subscription_id"], _uuid(request, delivery_id))


def _uuid(request: Request, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise not_found(request) from None
