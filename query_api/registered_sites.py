"""Registered sites and their keys: paths of `/api/sites` that need the scope `manage`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request, Response

from query_api.auth import AllowedManager, Managing, make_router, validate_site
from query_api.errors import not_found
from query_api.models import CreatedSiteKey, RegisteredSite, SiteKeys
from query_api.request_body import JsonBody, openapi_body
from query_api.subscriptions import EXAMPLE_ID
from sinks.sites.service import SiteService
from sinks.sites.spec import NewSite, NewSiteKey, SiteChange

#: Changes are written to the topic `sites`, which `api` reads within 5 s.
router = make_router("/api/sites", "Sites")

_SITE = "/{site_id}"
_EXAMPLE = {"origins": ["https://shop.example"]}


async def _service(request: Request) -> SiteService:
    service: SiteService = request.app.state.query.services.sites
    return service


Service = Annotated[SiteService, Depends(_service)]


async def _key_id(
    request: Request,
    key_id: Annotated[str, Path(json_schema_extra={"format": "uuid"}, examples=[EXAMPLE_ID])],
) -> str:
    try:
        return str(UUID(key_id))
    except ValueError:
        raise not_found(request) from None


KeyId = Annotated[str, Depends(_key_id)]


@router.post(
    "",
    status_code=201,
    response_model=RegisteredSite,
    summary="Register a site.",
    openapi_extra=openapi_body(NewSite, {"site_id": "my-site", **_EXAMPLE}),
)
async def add_site(grant: Managing, service: Service, body: JsonBody) -> Any:
    """Require a token of this site, or of all sites."""
    validate_site(grant, body.get("site_id"))
    return await service.add(body)


@router.get(_SITE, response_model=RegisteredSite, summary="Get a registered site.")
async def get_site(site_id: AllowedManager, service: Service) -> Any:
    """With its keys, but without the keys themselves."""
    return await service.get(site_id)


@router.patch(
    _SITE,
    response_model=RegisteredSite,
    summary="Change the rules of a site.",
    openapi_extra=openapi_body(SiteChange, _EXAMPLE),
)
async def change_site(site_id: AllowedManager, service: Service, body: JsonBody) -> Any:
    """Absent fields keep their values. Takes effect within 5 s."""
    return await service.update(site_id, body)


@router.delete(_SITE, status_code=204, response_class=Response, summary="Remove a site.")
async def remove_site(site_id: AllowedManager, service: Service) -> None:
    """Delete its registration, keys, tokens and subscriptions.

    Also succeeds if the site is not registered. `headrace sites remove` also deletes its data.
    """
    await service.remove(site_id)


@router.post(
    f"{_SITE}/keys",
    status_code=201,
    response_model=CreatedSiteKey,
    summary="Create a site key.",
    openapi_extra=openapi_body(NewSiteKey, {"name": "back end"}),
)
async def create_key(site_id: AllowedManager, service: Service, body: JsonBody) -> Any:
    """Only this response contains the key."""
    return await service.create_key(site_id, body)


@router.get(f"{_SITE}/keys", response_model=SiteKeys, summary="List the keys of a site.")
async def list_keys(site_id: AllowedManager, service: Service) -> Any:
    """Oldest first, without the keys themselves."""
    return {"items": (await service.get(site_id))["keys"], "next_cursor": None}


@router.delete(
    f"{_SITE}/keys/{{key_id}}",
    status_code=204,
    response_class=Response,
    summary="Revoke a site key.",
)
async def revoke_key(site_id: AllowedManager, key_id: KeyId, service: Service) -> None:
    """Events with this key are rejected within 5 s."""
    await service.revoke_key(site_id, key_id)
