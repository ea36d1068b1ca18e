"""What is known of a site: `/api/sites`."""

from typing import Annotated, Any, get_args

from fastapi import Header, Query, Request
from pydantic import Field

from schemas.alert_rules import RULES
from schemas.records import VisitState
from sinks.paging import cursor_of
from sinks.query import lists, models, reads
from sinks.query.auth import AllowedSite, Granted, Guard, router_of, token_of
from sinks.query.lists import ListParameters, ListQuery, NameListParameters, Parameters, one_of
from sinks.query.models import Page
from sinks.query.slots import ReadList
from sinks.query.sse import EventStream, Source
from sinks.query.tokens import Grant
from sinks.sql.errors import is_transient

router = router_of("/api/sites", "Reading")

_ONE = "/{site_id}"
_MAX_SEQ_DIGITS = 18
_RESUMES = "Resumes after the alert of this seq."


def _streams(name: str) -> dict[str, Any]:
    """Return what the OpenAPI document has of a stream of events with this name."""
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "response_class": EventStream,
        "status_code": 200,
        "responses": {200: {"description": "Events.", "content": content}},
        "description": f"Server-sent events: `retry` first, then `event: {name}` with a line of "
        "JSON as data, and a comment every 15 seconds. The parameters _ and t, for caches, are "
        "ignored.",
    }


class LiveParameters(Parameters):
    """The parameters of what happens now."""

    latest: one_of("latest", ("1",)) | None = Field(  # type: ignore[valid-type]
        default=None, description="Adds latest, and a stalled_since of null."
    )


class StreamParameters(Parameters):
    """The parameters of a stream: where it resumes, under any of the names polyfills use."""

    last_event_id: str | None = Field(
        default=None, alias="lastEventId", description=f"{_RESUMES} The header wins."
    )
    last_event_id_2: str | None = Field(default=None, alias="last-event-id")
    last_event_id_3: str | None = Field(default=None, alias="last_event_id")


class LiveStreamParameters(LiveParameters, StreamParameters):
    """The parameters of the stream of what happens now; where it resumes is ignored."""


class AlertParameters(ListParameters):
    """The parameters of alerts."""

    rule: one_of("rule", RULES) | None = Field(  # type: ignore[valid-type]
        default=None, description="Only alerts of this rule."
    )


class VisitParameters(ListParameters):
    """The parameters of visits."""

    state: one_of("state", get_args(VisitState)) | None = Field(  # type: ignore[valid-type]
        default=None, description="Only visits in it."
    )


@router.get("", response_model=Page[models.Site], summary="Sites of the token, by name.")
async def list_sites(
    request: Request, grant: Granted, read: ReadList, query: Annotated[NameListParameters, Query()]
) -> Any:
    """List the sites of the token; of one for all, those with live counters or visits."""
    (limit, after) = (query.limit, "")
    if query.cursor is not None:
        (after,) = lists.after_cursor(query.cursor, (str,))
    if grant.sites is not None:
        names = sorted(name for name in grant.sites if name > after)
    else:
        stored = await read(lambda c: reads.sites(c, limit + 1, after))
        names = sorted({*request.app.state.board.sites(limit + 1, after), *stored})
    cursor = cursor_of([names[limit - 1]]) if len(names) > limit else None
    return {"items": [{"site_id": name} for name in names[:limit]], "next_cursor": cursor}


@router.get(
    f"{_ONE}/live",
    response_model=models.Live,
    response_model_exclude_unset=True,
    summary="What happens now.",
)
async def get_live(
    request: Request, site_id: AllowedSite, query: Annotated[LiveParameters, Query()]
) -> Any:
    """Return zeros for an unknown site."""
    return request.app.state.board.snapshot(site_id, latest=query.latest is not None)


@router.get(
    f"{_ONE}/live/stream",
    summary="What happens now, at once and on each change.",
    **_streams("live"),
)
async def stream_live(
    request: Request,
    site_id: AllowedSite,
    query: Annotated[LiveStreamParameters, Query()],
    grant: Granted,
) -> EventStream:
    """Stream what happens now."""
    source = request.app.state.live_feed.watch(site_id, latest=query.latest is not None)
    return _stream(request, grant, site_id, source)


@router.get(f"{_ONE}/alerts", response_model=Page[models.Alert], summary="Alerts, newest first.")
async def list_alerts(
    site_id: AllowedSite, read: ReadList, query: Annotated[AlertParameters, Query()]
) -> Any:
    """List every payment once, however many subscriptions it is delivered to."""
    part = lists.slice_of(query, reads.ALERT_KEY)
    return await read(lambda c: reads.alerts(c, site_id, part, query.rule))


@router.get(
    f"{_ONE}/alerts/stream",
    summary="Alerts as they are raised; seq is the id.",
    **_streams("alert"),
)
async def stream_alerts(
    request: Request,
    site_id: AllowedSite,
    query: Annotated[StreamParameters, Query()],
    grant: Granted,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", description=_RESUMES)] = "",
) -> EventStream:
    """Stream alerts, from the one after the last that the client saw."""
    # The header wins: a browser that reconnects sends it to the address that the page made before.
    named = (query.last_event_id, query.last_event_id_2, query.last_event_id_3)
    seq = last_event_id or next((one for one in named if one is not None), "")
    is_ours = seq.isascii() and seq.isdigit() and len(seq) <= _MAX_SEQ_DIGITS
    source = await request.app.state.alert_feed.watch(site_id, int(seq) if is_ours else None)
    return _stream(request, grant, site_id, source)


@router.get(f"{_ONE}/sessions", response_model=Page[models.Visit], summary="Visits, newest first.")
async def list_sessions(
    site_id: AllowedSite, read: ReadList, query: Annotated[VisitParameters, Query()]
) -> Any:
    """List visits by the time of their first event."""
    part = lists.slice_of(query, reads.SESSION_KEY)
    return await read(lambda c: reads.sessions(c, site_id, part, query.state))


@router.get(f"{_ONE}/pages", response_model=Page[models.PageTime], summary="Time on pages by hour.")
async def list_pages(site_id: AllowedSite, read: ReadList, query: ListQuery) -> Any:
    """Add up partitions, the newest hour first."""
    part = lists.slice_of(query, reads.PAGE_KEY)
    return await read(lambda c: reads.pages(c, site_id, part))


def _stream(request: Request, grant: Grant, site_id: str, source: Source) -> EventStream:
    guard: Guard = request.app.state.guard
    token = token_of(request)

    async def may_go_on() -> bool:
        try:
            found = await guard.check(token)
        except Exception as error:
            if not is_transient(error):
                raise
            return True  # nothing was revoked; it is checked again
        return found is not None and found.allows(site_id)

    return EventStream(source, may_go_on, grant.token_id, request.app.state.streams)
