"""The paths of import windows, in which events may have timestamps of any age (ADR 34)."""

import time
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response

from query_api.auth import AllowedSite, make_router
from query_api.models import ImportWindow, OpenImportWindow
from query_api.request_body import JsonBody, openapi_body
from schemas.records import ImportWindow as Record
from schemas.settings import SITE_ID
from sinks.delivery.subscription_spec import Invalid, parse
from sinks.sql.conversion import iso_utc

#: Its paths write to the topic `import-windows`; the role `api` applies a change within 5 s.
router = make_router("/api/sites/{site_id}/import-windows", "Imports")


async def _window(
    window_id: Annotated[
        str, Path(json_schema_extra={"pattern": f"^{SITE_ID.pattern}$"}, examples=["an-import"])
    ],
) -> str:
    if not SITE_ID.fullmatch(window_id):
        raise Invalid("window_id", "window_id must be 1 to 64 characters from A-Z a-z 0-9 . _ -")
    return window_id


Window = Annotated[str, Depends(_window)]


@router.put(
    "/{window_id}",
    response_model=OpenImportWindow,
    summary="Open an import window, or change its end.",
    openapi_extra=openapi_body(ImportWindow, {"seconds": 120}),
)
async def open_window(
    request: Request, site_id: AllowedSite, window_id: Window, body: JsonBody
) -> Any:
    """Repeat the request to extend the window."""
    now = time.time_ns() // 1_000
    ends_at = now + parse(ImportWindow, body).seconds * 1_000_000
    window = Record(site_id=site_id, window_id=window_id, ends_at=ends_at, updated_at=now)
    await request.app.state.query.services.publish_window(f"{site_id}:{window_id}", window)
    return {"site_id": site_id, "window_id": window_id, "ends_at": iso_utc(ends_at)}


@router.delete(
    "/{window_id}", status_code=204, response_class=Response, summary="Close an import window."
)
async def close_window(request: Request, site_id: AllowedSite, window_id: Window) -> None:
    """Succeed even if the window does not exist."""
    await request.app.state.query.services.publish_window(f"{site_id}:{window_id}", None)
