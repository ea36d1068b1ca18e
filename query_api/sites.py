"""The paths of sites: `/api/sites`."""

from typing import Annotated, Any, get_args

from fastapi import Header, Query, Request
from pydantic import Field

from query_api import lists, models, queries
from query_api.auth import AllowedSite, Authenticator, Granted, make_router, token_of
from query_api.concurrency import ReadList
from query_api.lists import ListParameters, ListQuery, NameListParameters, Parameters, one_of
from query_api.models import Page
from query_api.sse import EventStream, Source
from query_api.tokens import Grant
from schemas.alert_rules import RULES
from schemas.records import VisitState
from sinks.paging import cursor_of
from sinks.sites import store
from sinks.sql.errors import is_transient

router = make_router("/api/sites", "Reading")

_SITE = "/{site_id}"
_MAX_SEQ_DIGITS = 18
_RESUME = "Resume after the alert with this seq."


def _streams(name: str) -> dict[str, Any]:
    """Return the route arguments for a stream of events named `name`."""
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "response_class": EventStream,
        "status_code": 200,
        "responses": {200: {"description": "Events.", "content": content}},
        "description": f"Server-sent events: `retry`, then `event: {name}` with a line of JSON as "
        "data, and a comment every 15 seconds. The cache-busting parameters _ and t are ignored.",
    }


class LiveParameters(Parameters):
    """The parameters of live counters."""

    latest: one_of("latest", ("1",)) | None = Field(  # type: ignore[valid-type]
        default=None, description="Include latest, and stalled_since even if it is null."
    )


class StreamParameters(Parameters):
    """The parameters of a stream: the last event id, under all names that polyfills use."""

    last_event_id: str | None = Field(
        default=None, alias="lastEventId", description=f"{_RESUME} The header has precedence."
    )
    last_event_id_2: str | None = Field(default=None, alias="last-event-id")
    last_event_id_3: str | None = Field(default=None, alias="last_event_id")


class LiveStreamParameters(LiveParameters, StreamParameters):
    """The parameters of the stream of live counters, which ignores the last event id."""


class AlertParameters(ListParameters):
    """The parameters of alerts."""

    rule: one_of("rule", RULES) | None = Field(  # type: ignore[valid-type]
        default=None, description="Only alerts of this rule."
    )


class VisitParameters(ListParameters):
    """The parameters of visits."""

    state: one_of("state", get_args(VisitState)) | None = Field(  # type: ignore[valid-type]
        default=None, description="Only visits in this state."
    )


@router.get("", response_model=Page[models.Site], summary="List the sites of the token, by name.")
async def list_sites(
    request: Request, grant: Granted, read: ReadList, query: Annotated[NameListParameters, Query()]
) -> Any:
    """List the sites that are registered, or have live counters or visits.

    Only for a token with access to all sites.
    """
    (limit, after) = (query.limit, "")
    if query.cursor is not None:
        (after,) = lists.parse_cursor(query.cursor, (str,))
    if grant.sites is not None:
        names = sorted(name for name in grant.sites if name > after)
    else:
        stored = await read(
            lambda c: queries.sites(c, limit + 1, after) + store.names(c, limit + 1, after)
        )
        names = sorted({*request.app.state.live_store.sites(limit + 1, after), *stored})
    cursor = cursor_of([names[limit - 1]]) if len(names) > limit else None
    return {"items": [{"site_id": name} for name in names[:limit]], "next_cursor": cursor}


@router.get(
    f"{_SITE}/live",
    response_model=models.Live,
    response_model_exclude_unset=True,
    summary="Get live counters.",
)
async def get_live(
    request: Request, site_id: AllowedSite, query: Annotated[LiveParameters, Query()]
) -> Any:
    """All counters of an unknown site are zero."""
    return request.app.state.live_store.snapshot(site_id, latest=query.latest is not None)


@router.get(
    f"{_SITE}/live/stream",
    summary="Stream live counters, at once and after each change.",
    **_streams("live"),
)
async def stream_live(
    request: Request,
    site_id: AllowedSite,
    query: Annotated[LiveStreamParameters, Query()],
    grant: Granted,
) -> EventStream:
    """Stream live counters."""
    source = request.app.state.live_feed.watch(site_id, latest=query.latest is not None)
    return _stream(request, grant, site_id, source)


@router.get(
    f"{_SITE}/alerts", response_model=Page[models.Alert], summary="List alerts, newest first."
)
async def list_alerts(
    site_id: AllowedSite, read: ReadList, query: Annotated[AlertParameters, Query()]
) -> Any:
    """List each payment once, however many subscriptions it is delivered to."""
    part = lists.slice_of(query, queries.ALERT_KEY)
    return await read(lambda c: queries.alerts(c, site_id, part, query.rule))


@router.get(
    f"{_SITE}/alerts/stream",
    summary="Stream new alerts; seq is the event id.",
    **_streams("alert"),
)
async def stream_alerts(
    request: Request,
    site_id: AllowedSite,
    query: Annotated[StreamParameters, Query()],
    grant: Granted,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", description=_RESUME)] = "",
) -> EventStream:
    """Stream alerts after the last event id, or new ones without it."""
    # A browser that reconnects sends the header and the outdated parameter of the original URL.
    parameters = (query.last_event_id, query.last_event_id_2, query.last_event_id_3)
    seq = last_event_id or next((text for text in parameters if text is not None), "")
    is_valid = seq.isascii() and seq.isdigit() and len(seq) <= _MAX_SEQ_DIGITS
    source = await request.app.state.alert_feed.watch(site_id, int(seq) if is_valid else None)
    return _stream(request, grant, site_id, source)


@router.get(
    f"{_SITE}/sessions", response_model=Page[models.Visit], summary="List visits, newest first."
)
async def list_sessions(
    site_id: AllowedSite, read: ReadList, query: Annotated[VisitParameters, Query()]
) -> Any:
    """Order visits by the time of their first event."""
    part = lists.slice_of(query, queries.SESSION_KEY)
    return await read(lambda c: queries.sessions(c, site_id, part, query.state))


@router.get(
    f"{_SITE}/pages", response_model=Page[models.PageTime], summary="List time on pages by hour."
)
async def list_pages(site_id: AllowedSite, read: ReadList, query: ListQuery) -> Any:
    """Sum durations over partitions; list the newest hour first."""
    part = lists.slice_of(query, queries.PAGE_KEY)
    return await read(lambda c: queries.pages(c, site_id, part))


def _stream(request: Request, grant: Grant, site_id: str, source: Source) -> EventStream:
    authenticator: Authenticator = request.app.state.authenticator
    token = token_of(request)

    async def is_authorized() -> bool:
        try:
            current = await authenticator.check(token)
        except Exception as error:
            if not is_transient(error):
                raise
            return True  # checked again later
        return current is not None and current.allows(site_id)

    return EventStream(source, is_authorized, grant.token_id, site_id, request.app.state.streams)
