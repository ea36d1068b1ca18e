"""Which path answers what: the route table, also of the OpenAPI document and the metrics."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sinks.query.answers import Answer
from sinks.query.handlers import Handlers
from sinks.query.request import Request
from sinks.query.sse import Stream
from sinks.query.subscriptions import SubscriptionHandlers

Handler = Callable[[Request], Awaitable[Answer | Stream]]

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A path, whose {names} are any text without a slash, and its handler by method."""

    template: str
    handlers: Mapping[str, Handler]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the names of a path; None when it is another's."""
        found = re.fullmatch(_NAME.sub(r"(?P<\1>[^/]+)", self.template), path)
        return None if found is None else found.groupdict()

    @property
    def allowed(self) -> str:
        """Return the methods, as the header `Allow` names them."""
        return ", ".join(sorted(self.handlers))


def routes(sites: Handlers, subscriptions: SubscriptionHandlers) -> list[Route]:
    """Return all routes that need a token."""
    own = "/api/sites/{site_id}"
    return [
        Route("/api/sites", {"GET": sites.sites}),
        Route(f"{own}/live", {"GET": sites.live}),
        Route(f"{own}/live/stream", {"GET": sites.live_stream}),
        Route(f"{own}/alerts", {"GET": sites.alerts}),
        Route(f"{own}/alerts/stream", {"GET": sites.alerts_stream}),
        Route(f"{own}/sessions", {"GET": sites.sessions}),
        Route(f"{own}/pages", {"GET": sites.pages}),
        *_of_subscriptions(subscriptions),
    ]


def _of_subscriptions(asked: SubscriptionHandlers) -> list[Route]:
    one = "/api/subscriptions/{subscription_id}"
    return [
        Route("/api/subscriptions", {"GET": asked.list, "POST": asked.create}),
        Route(one, {"GET": asked.get, "PATCH": asked.patch, "DELETE": asked.delete}),
        Route(f"{one}/test", {"POST": asked.test}),
        Route(f"{one}/deliveries", {"GET": asked.deliveries}),
        Route(f"{one}/deliveries/{{delivery_id}}/resend", {"POST": asked.resend}),
    ]
