"""What each path of a site answers."""

from collections.abc import Callable
from typing import TypeVar, get_args

from sqlalchemy import Connection

from schemas.alert_rules import RULES
from schemas.records import VisitState
from sinks.query import answers, lists, reads, sse
from sinks.query.alert_feed import AlertFeed
from sinks.query.answers import Answer, Refused, bad_parameter, not_ready
from sinks.query.auth import Guard, site_of, token_of
from sinks.query.live_board import Board
from sinks.query.live_feed import LiveFeed
from sinks.query.request import Request
from sinks.query.sse import Stream
from sinks.sql.engine import Database
from sinks.sql.errors import explain, is_schema_missing, is_transient

T = TypeVar("T")

_MOST_SEQ_DIGITS = 18


class Handlers:
    """The answers about sites, from the board and from SQL."""

    def __init__(
        self,
        database: Database,
        board: Board,
        live_feed: LiveFeed,
        alert_feed: AlertFeed,
        guard: Guard,
    ) -> None:
        self._database = database
        self._board = board
        self._live_feed = live_feed
        self._alert_feed = alert_feed
        self._guard = guard

    async def sites(self, request: Request) -> Answer:
        """Tell which sites the token may see; of a token for all, those that are known."""
        (limit, after) = lists.asked_by_name(request.query)
        if request.grant.sites is not None:
            found = {name for name in request.grant.sites if name > after}
        else:
            stored = await self._read(lambda c: reads.sites(c, limit + 1, after))
            found = {*self._board.sites(limit + 1, after), *stored}
        names = sorted(found)
        cursor = lists.cursor_of([names[limit - 1]]) if len(names) > limit else None
        items = [{"site_id": name} for name in names[:limit]]
        return answers.json(200, {"items": items, "next_cursor": cursor})

    async def live(self, request: Request) -> Answer:
        """Tell what happens now; `latest=1` adds the last events, and whether counting stalls."""
        latest = _wants_latest(request)
        return answers.json(200, self._board.snapshot(site_of(request), latest=latest))

    async def live_stream(self, request: Request) -> Stream:
        """Tell what happens now, and go on; `latest=1` adds the same."""
        latest = _wants_latest(request)
        source = self._live_feed.watch(site_of(request), latest=latest)
        return self._stream(request, source)

    async def alerts(self, request: Request) -> Answer:
        """List alerts."""
        site_id = site_of(request)
        asked = lists.asked(request.query, reads.ALERT_KEY, "rule")
        rule = lists.one_of(request.query, "rule", RULES)
        return await self._page(lambda c: reads.alerts(c, site_id, asked, rule))

    async def alerts_stream(self, request: Request) -> Stream:
        """Tell alerts as they are raised, from the one after Last-Event-ID."""
        lists.only_known(request.query)
        site_id = site_of(request)
        last_seen = _last_event_id(request.headers.get(b"last-event-id"))
        return self._stream(request, await self._alert_feed.watch(site_id, last_seen))

    async def sessions(self, request: Request) -> Answer:
        """List visits."""
        site_id = site_of(request)
        asked = lists.asked(request.query, reads.SESSION_KEY, "state")
        state = lists.one_of(request.query, "state", get_args(VisitState))
        return await self._page(lambda c: reads.sessions(c, site_id, asked, state))

    async def pages(self, request: Request) -> Answer:
        """List time on pages."""
        site_id = site_of(request)
        asked = lists.asked(request.query, reads.PAGE_KEY)
        return await self._page(lambda c: reads.pages(c, site_id, asked))

    async def _page(self, work: Callable[[Connection], reads.Page]) -> Answer:
        page = await self._read(work)
        return answers.json(200, page._asdict())

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.run(work)

    def _stream(self, request: Request, source: sse.Source) -> Stream:
        token = token_of(request)
        site_id = request.names["site_id"]

        async def may_go_on() -> bool:
            try:
                grant = await self._guard.check(token)
            except Exception as error:
                if not is_transient(error):
                    raise
                return True  # nobody was refused; it is asked again
            return grant is not None and grant.allows(site_id)

        return Stream(source, may_go_on)


def unavailable(error: Exception) -> Refused | None:
    """Return the refusal that trouble with the database deserves; None when it is another."""
    if is_schema_missing(error):
        return not_ready("The database is not set up yet: run `headrace db upgrade`")
    return not_ready(explain(error)) if is_transient(error) else None


def _wants_latest(request: Request) -> bool:
    lists.only_known(request.query, "latest")
    if request.query.get("latest", "1") != "1":
        raise bad_parameter("latest", "latest must be 1, or left out")
    return "latest" in request.query


def _last_event_id(header: bytes | None) -> int | None:
    """Return the number that a client saw last; one that is none of ours is no place."""
    if header is None or not header.isdigit() or len(header) > _MOST_SEQ_DIGITS:
        return None
    return int(header)
