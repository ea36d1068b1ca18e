"""A server that the published clients of other systems send to, with a Kafka in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from producer_api.events.derive.salts import day_name
from producer_api.http.create_app import create_app
from schemas import codec
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.waiting import eventually

_SECONDS = 60.0


class Exchange(NamedTuple):
    """A request that got a response."""

    method: str
    path: str
    status: int


class Server:
    """The application of the role `api`. It accepts events of any site, and records requests."""

    def __init__(self) -> None:
        self.kafka = FakeKafka()
        self.exchanges: list[Exchange] = []
        #: Its address; set while it is served.
        self.url = ""
        self._api = create_app(Settings(api=ApiSettings(sites="open")), connection=self.kafka)
        self._failures = 0
        self._in_progress = 0

    def fail(self, times: int) -> None:
        """Respond with 503 to the next POST requests."""
        self._failures = times

    @asynccontextmanager
    async def started(self) -> AsyncIterator["Server"]:
        """Start and stop the application."""
        await self._api.start()
        for day in self._api.salts.missing():
            self._api.salts.apply(day_name(day).encode(), self._api.salts.candidate(day))
        yield self
        await self._api.stop()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a request; a failing one gets the response of a server that is shutting down."""
        if scope["method"] == "POST" and self._failures:
            self._failures -= 1
            self._api.intake.is_draining = True

        async def record(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                exchange = Exchange(scope["method"], scope["path"], message["status"])
                self.exchanges.append(exchange)
            await send(message)

        self._in_progress += 1
        try:
            await self._api(scope, receive, record)
        finally:
            self._in_progress -= 1
            self._api.intake.is_draining = False

    def events(self) -> list[RawEvent]:
        """Return all events, also those that a client sent twice."""
        return [codec.decode(record.value, RawEvent) for record in self.kafka.stored]

    def wait_for(self, count: int) -> list[RawEvent]:
        """Return the events when there are at least so many; no two have the same id.

        Also wait for the responses: an event is in Kafka before its response is sent.
        """

        def enough() -> bool:
            return len(self.kafka.stored) >= count and not self._in_progress

        eventually(enough, within_seconds=_SECONDS, what=f"{count} events are stored")
        events = self.events()
        assert len({event.event_id for event in events}) == len(events), "an event was sent twice"
        return events

    def statuses(self, method: str = "POST") -> list[int]:
        """Return the statuses of the responses to requests, in order."""
        return [exchange.status for exchange in self.exchanges if exchange.method == method]
