"""The paths of subscriptions: `/api/subscriptions`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field

from sinks.query.auth import Granted, demand, router_of, site_for
from sinks.query.body import JsonBody, described_body
from sinks.query.errors import not_found
from sinks.query.lists import ListParameters, ListQuery, slice_of
from sinks.query.models import CreatedSubscription, Delivery, Page, Subscription
from sinks.query.slots import InSlot
from sinks.webhooks.asked import NewSubscription, SubscriptionChange
from sinks.webhooks.service import Subscriptions

#: The key of both lists.
_KEY = (datetime, UUID)

EXAMPLE_ID = "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"
_EXAMPLE = {
    "site_id": "my-site",
    "rule": "payment",
    "params": {"min_amount": 100, "currency": "EUR"},
    "channel": {"type": "webhook", "url": "https://example.com/hooks/headrace"},
}

_Id = Annotated[str, Path(json_schema_extra={"format": "uuid"}, examples=[EXAMPLE_ID])]

router = router_of("/api/subscriptions", "Subscriptions")


class SubscriptionParameters(ListParameters):
    """The parameters of subscriptions."""

    site_id: str | None = Field(default=None, description="Only those of this site.")


async def _service(request: Request) -> Subscriptions:
    service: Subscriptions = request.app.state.query.services.subscriptions
    return service


Service = Annotated[Subscriptions, Depends(_service)]


async def _allowed(
    request: Request, grant: Granted, service: Service, subscription_id: _Id
) -> dict[str, Any]:
    found = await service.get(_uuid(request, subscription_id))
    demand(grant, found["site_id"])
    return found


#: The subscription of the path, whose site the token is for.
Allowed = Annotated[dict[str, Any], Depends(_allowed)]


@router.post(
    "",
    status_code=201,
    response_model=CreatedSubscription,
    summary="Subscribe.",
    openapi_extra=described_body(NewSubscription, _EXAMPLE),
)
async def create_subscription(grant: Granted, service: Service, body: JsonBody) -> Any:
    """Show the secret, this once."""
    site_for(grant, body.get("site_id"))
    return await service.create(body)


@router.get("", response_model=Page[Subscription], summary="Subscriptions, newest first.")
async def list_subscriptions(
    grant: Granted,
    service: Service,
    in_slot: InSlot,
    query: Annotated[SubscriptionParameters, Query()],
) -> Any:
    """Those of the sites that the token is for, or of one of them."""
    sites = None if grant.sites is None else sorted(grant.sites)
    if query.site_id is not None:
        sites = [site_for(grant, query.site_id)]
    part = slice_of(query, _KEY)
    return await in_slot(lambda: service.list(sites, part))


@router.get("/{subscription_id}", response_model=Subscription, summary="A subscription.")
async def get_subscription(found: Allowed) -> Any:
    """Without its secret."""
    return found


@router.patch(
    "/{subscription_id}",
    response_model=Subscription,
    summary="Change a subscription.",
    openapi_extra=described_body(SubscriptionChange, {"enabled": False}),
)
async def change_subscription(found: Allowed, service: Service, body: JsonBody) -> Any:
    """Fields that are left out keep their values."""
    return await service.patch(found["subscription_id"], body)


@router.delete(
    "/{subscription_id}", status_code=204, response_class=Response, summary="End a subscription."
)
async def delete_subscription(found: Allowed, service: Service) -> None:
    """Deliveries that wait are cancelled."""
    await service.delete(found["subscription_id"])


@router.post(
    "/{subscription_id}/test", status_code=202, response_model=Delivery, summary="Send a test."
)
async def test_subscription(found: Allowed, service: Service) -> Any:
    """It is delivered as an alert is."""
    return await service.test(found["subscription_id"])


@router.get(
    "/{subscription_id}/deliveries",
    response_model=Page[Delivery],
    summary="Deliveries, newest first.",
)
async def list_deliveries(
    found: Allowed, service: Service, in_slot: InSlot, query: ListQuery
) -> Any:
    """Each with its attempts."""
    part = slice_of(query, _KEY)
    return await in_slot(lambda: service.deliveries(found["subscription_id"], part))


@router.post(
    "/{subscription_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    response_model=Delivery,
    summary="Send a delivery again.",
)
async def resend_delivery(
    request: Request, found: Allowed, service: Service, delivery_id: _Id
) -> Any:
    """From the start of its schedule."""
    return await service.resend(found["subscription_id"], _uuid(request, delivery_id))


def _uuid(request: Request, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise not_found(request) from None
