"""Requests of the fast path that wait for Kafka."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from producer_api.events.draft import EncodedEvent
from producer_api.events.rejection import Rejected
from producer_api.http import responses
from producer_api.http.paths import EVENT_PATH
from producer_api.http.responses import Response


class Sent(NamedTuple):
    """An event that was queued for Kafka. Its request started at `started_at` (`perf_counter`).

    `path` is that of the request. `accepted` returns the response for the event's id when Kafka has
    it; `rejected` counts a rejection and returns its response, if it is not that of our own API.
    """

    event: EncodedEvent
    confirmed: asyncio.Future[bool]
    started_at: float
    path: str = EVENT_PATH
    accepted: Callable[[str], Response] = responses.accepted
    rejected: Callable[[Rejected], Response] | None = None


class SentBatch(NamedTuple):
    """Several events of a request of another system's client; `confirmed` has its response."""

    confirmed: asyncio.Future[Response]
    started_at: float
    path: str


#: A request of the fast path: call `Intake.respond` when `confirmed` is done.
Pending = Sent | SentBatch
