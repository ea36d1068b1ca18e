"""The ASGI application: which path answers what."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import uuid_utils
from prometheus_client import CollectorRegistry

from producer_api import answers, body, cors
from producer_api.accumulator import Accumulator, Transport
from producer_api.answers import Answer
from producer_api.batch import split
from producer_api.body import Disconnected, Receive
from producer_api.direct import Direct, Taken
from producer_api.draft import Surroundings
from producer_api.intake import Intake, internal_error
from producer_api.kafka import Link
from producer_api.metrics import Metrics
from producer_api.pages import Pages
from producer_api.rejected import Rejected, Unread
from schemas.reject_reasons import RejectReason
from schemas.settings import Settings
from schemas.topics import EVENTS_RAW

Send = Callable[[Any], Any]
Headers = Mapping[bytes, bytes]

EVENT_PATH = "/api/event"
BATCH_PATH = "/api/events"
EVENT_PATHS = frozenset({EVENT_PATH, BATCH_PATH})

#: What a client that was refused may still send, so that it reads the answer before the end:
#: most clients read nothing before they have sent everything.
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_SECONDS = 10.0
_STOP_SECONDS = 10.0


class Connection(Transport, Protocol):
    """What the application needs of Kafka: `kafka.Link`, or the fake of the tests."""

    trouble: str | None

    def start(self, opened: Callable[[int], None]) -> None:
        """Begin to connect; `opened` is told the number of partitions."""

    async def stop(self) -> None:
        """Close the connection."""


class Api:
    """The role `api` as an ASGI application."""

    def __init__(
        self,
        connection: Connection,
        accumulator: Accumulator,
        around: Surroundings,
        metrics: Metrics,
        ready_checks: Sequence[Callable[[], str | None]],
    ) -> None:
        self._connection = connection
        self._accumulator = accumulator
        self._metrics = metrics
        self._intake = Intake(around, accumulator, metrics)
        self._pages = Pages(metrics.registry, [self._own_trouble, *ready_checks])
        self._draining = False
        self._in_flight = 0
        self._all_answered = asyncio.Event()
        #: For a server that serves plain requests without ASGI.
        self.direct: Direct = self

    async def start(self) -> None:
        """Begin to connect to Kafka; called by the lifespan, or by who serves this with others."""
        self._connection.start(self._accumulator.open)

    async def stop(self) -> None:
        """Send what waits, then close the connection; bounded, and called as `start` is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._accumulator.drain()
                await self._connection.stop()

    async def drain(self) -> None:
        """Refuse what comes from now on; return when all that came before is answered."""
        self._draining = True
        if self._in_flight:
            await self._all_answered.wait()

    def _own_trouble(self) -> str | None:
        return "The server is shutting down" if self._draining else self._connection.trouble

    def take(self, body: bytes) -> Taken | None:
        """Take the event of a plain request; None when it is to come by ASGI."""
        began = time.perf_counter()
        if self._draining:
            return None
        try:
            sent = self._intake.at_once(body)
        except Exception:  # noqa: BLE001 - it comes again by ASGI, where it is counted and told
            return None
        if sent is None:
            return None
        self._in_flight += 1
        return Taken(*sent, began)

    def answer(self, taken: Taken) -> Answer:
        """Return what the client of a plain request is told."""
        self._metrics.tally.answer(time.perf_counter() - taken.began)
        self._end_one()
        if not taken.confirmed.result():
            rejected = Rejected(RejectReason.NOT_ACCEPTED)
            self._metrics.count_rejected(rejected)
            return answers.refusal(rejected)
        self._metrics.tally.accept(taken.ready.type)
        return answers.accepted(taken.ready.event_id)

    def _end_one(self) -> None:
        self._in_flight -= 1
        if self._draining and not self._in_flight:
            self._all_answered.set()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = dict(scope["headers"])
        self._in_flight += 1
        try:
            answer = await self._answer(scope, headers, receive)
            await _respond(answer, receive, send)
        except Disconnected:
            pass
        finally:
            self._end_one()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Mapping[str, Any], headers: Headers, receive: Receive) -> Answer:
        try:
            answer = await self._route(scope["method"], scope["path"], headers, receive)
        except Rejected as rejected:
            answer = self._refuse(rejected, headers)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: counted, logged and answered
            answer = self._refuse(internal_error(error), headers)
        if b"origin" in headers and scope["path"] in EVENT_PATHS:
            return answer.with_headers(*cors.of_origin(headers))
        return answer

    async def _route(self, method: str, path: str, headers: Headers, receive: Receive) -> Answer:
        if path not in EVENT_PATHS:
            return self._pages.answer(method, path)
        if method == "OPTIONS":
            return cors.preflight(headers)
        if method != "POST":
            raise Unread(
                RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=cors.METHODS, method=method
            )
        began = time.perf_counter()
        try:
            return await self._take(path, headers, receive)
        finally:
            self._metrics.tally.answer(time.perf_counter() - began)

    async def _take(self, path: str, headers: Headers, receive: Receive) -> Answer:
        if self._draining:
            raise Unread(RejectReason.SHUTTING_DOWN)
        if path == EVENT_PATH:
            event = await body.read_body(receive, headers, body.MAX_EVENT_BYTES)
            return answers.accepted(await self._intake.one(event))
        batch = await body.read_body(receive, headers, body.MAX_BATCH_BYTES)
        results = await self._intake.many(split(batch, headers.get(b"content-type", b"")))
        return answers.json(results.status, results.body)

    def _refuse(self, rejected: Rejected, headers: Headers) -> Answer:
        self._metrics.count_rejected(rejected)
        answer = answers.refusal(rejected)
        unread = isinstance(rejected, Unread) and _has_body(headers)
        return answer.closing() if unread else answer


async def _respond(answer: Answer, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if not answer.closes:
        await send({"type": "http.response.body", "body": answer.body})
        return
    # To close with input unread would reset the connection, and the client might never see
    # the answer.
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            await _discard(receive)
    await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    discarded = 0
    while discarded < _LINGER_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        discarded += len(message.get("body", b""))


def _has_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def create_app(
    settings: Settings,
    *,
    ready_checks: Sequence[Callable[[], str | None]] = (),
    registry: CollectorRegistry | None = None,
    connection: Connection | None = None,
    now: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Api:
    """Wire the role. Each of `ready_checks` returns why another role is not ready, or None.

    `registry` is what /metrics tells; `now` is microseconds since 1970.
    """
    deadline = settings.api.deadline_seconds
    link = connection or Link(settings.kafka.bootstrap_servers, EVENTS_RAW.name, deadline)
    accumulator = Accumulator(
        EVENTS_RAW.name,
        link,
        deadline_seconds=deadline,
        max_waiting_bytes=settings.api.max_waiting_bytes,
    )
    around = Surroundings(now, lambda: str(uuid_utils.uuid7()), frozenset(settings.imports.sites))
    metrics = Metrics(registry or CollectorRegistry(), lambda: accumulator.waiting_bytes)
    return Api(link, accumulator, around, metrics, ready_checks)
