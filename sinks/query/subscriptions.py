"""The paths of subscriptions: who may, and what the service answers."""

from collections.abc import Awaitable
from typing import Any, TypeVar
from uuid import UUID

from sinks.query import answers, lists
from sinks.query.answers import Answer, Refused, bad_parameter, not_found, not_ready
from sinks.query.auth import demand, site_for
from sinks.query.request import Request
from sinks.webhooks.service import Invalid, Subscriptions, Unavailable, Within

T = TypeVar("T")


class SubscriptionHandlers:
    """Asks the service, after it was seen that the token is for the subscription's site."""

    def __init__(self, service: Subscriptions) -> None:
        self._service = service

    async def create(self, request: Request) -> Answer:
        """Make a subscription; its secret is shown this once."""
        body = await request.body()
        site_id = site_for(request.grant, body.get("site_id"))
        return answers.json(201, await _ask(self._service.create(site_id, body)))

    async def list(self, request: Request) -> Answer:
        """List the subscriptions of the sites that the token is for, or of one of them."""
        lists.only_known(request.query, *lists.LIST, "site_id")
        sites = None if request.grant.sites is None else sorted(request.grant.sites)
        if "site_id" in request.query:
            sites = [site_for(request.grant, request.query["site_id"])]
        asked = self._service.list(sites, *_part(request))
        return answers.json(200, await _ask(asked))

    async def get(self, request: Request) -> Answer:
        """Show one."""
        return answers.json(200, await self._allowed(request))

    async def patch(self, request: Request) -> Answer:
        """Change one."""
        await self._allowed(request)
        body = await request.body()
        return _found(request, await _ask(self._service.patch(_id(request), body)))

    async def delete(self, request: Request) -> Answer:
        """End one."""
        await self._allowed(request)
        if not await _ask(self._service.delete(_id(request))):
            raise not_found(request.path)
        return answers.empty(204)

    async def test(self, request: Request) -> Answer:
        """Send a test through the same delivery."""
        await self._allowed(request)
        return _found(request, await _ask(self._service.test(_id(request))), 202)

    async def deliveries(self, request: Request) -> Answer:
        """List what was sent, and how it went."""
        lists.only_known(request.query, *lists.LIST)
        await self._allowed(request)
        asked = self._service.deliveries(_id(request), *_part(request))
        return answers.json(200, await _ask(asked))

    async def resend(self, request: Request) -> Answer:
        """Send a delivery again."""
        await self._allowed(request)
        delivery_id = _uuid(request, "delivery_id")
        return _found(request, await _ask(self._service.resend(_id(request), delivery_id)), 202)

    async def _allowed(self, request: Request) -> dict[str, Any]:
        found = await _ask(self._service.get(_id(request)))
        if found is None:
            raise not_found(request.path)
        demand(request.grant, found["site_id"])
        return found


async def _ask(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except Invalid as invalid:
        raise Refused(400, "invalid_field", invalid.sentence, invalid.field) from None
    except Unavailable as error:
        raise not_ready(str(error) or "Kafka or the database does not answer") from None


def _found(request: Request, found: dict[str, Any] | None, status: int = 200) -> Answer:
    if found is None:
        raise not_found(request.path)
    return answers.json(status, found)


def _id(request: Request) -> str:
    return _uuid(request, "subscription_id")


def _uuid(request: Request, name: str) -> str:
    try:
        return str(UUID(request.names[name]))
    except ValueError:
        raise not_found(request.path) from None


def _part(request: Request) -> tuple[int, str | None, Within]:
    """Return which part of a list is asked for."""
    return lists.limit_of(request.query), _cursor(request), lists.within(request.query)


def _cursor(request: Request) -> str | None:
    cursor = request.query.get("cursor")
    if cursor is not None and ("\0" in cursor or not cursor.isascii()):
        raise bad_parameter("cursor", "cursor must be the next_cursor of an earlier answer")
    return cursor
