"""Serves the requests of other systems' clients: translate, ingest as a batch, reply."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from producer_api.events.client import Client
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.decoding import GZIP_MAGIC, check_count
from producer_api.events.dialects.model import SITE_KEY, Endpoint, Event, Explain, Outcome, Reply
from producer_api.events.dialects.parsing import parse_translated
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http import responses
from producer_api.http.batch_results import Results
from producer_api.http.intake import EVENTS_PER_SLICE, Intake, Parse, Queued
from producer_api.http.paths import DIALECT_ROUTES
from producer_api.http.pending import Pending, Sent, SentBatch
from producer_api.http.responses import Response
from schemas.reject_reasons import RejectReason

#: Results of events that the client should send again.
_RETRIABLE = frozenset({RejectReason.RATE_LIMITED.code, RejectReason.NOT_READY.code})
_ACCEPTED = 202
#: Members of events that replies contain.
_IDS = ("event_id", "session_id")
#: Bodies that take some milliseconds to translate. Compressed ones are several times as large.
_LARGE_BYTES = 64 * 1024
_LARGE_COMPRESSED_BYTES = 8 * 1024


#: The endpoint of a request, and its events or why the request is rejected.
_Read = tuple[Endpoint, list[Event] | Rejected]


class _Translated(NamedTuple):
    """The events of a request."""

    endpoint: Endpoint
    request: Request
    events: list[Event]
    client: Client


class DialectIntake:
    """Accepts requests of dialects."""

    def __init__(self, intake: Intake, enabled: frozenset[str], completion: Completion) -> None:
        self._intake = intake
        self._enabled = enabled
        self._completion = completion
        #: Held while a large body is decoded: its objects take many times the memory of its bytes.
        self._decoding = asyncio.Lock()
        intake.accept_other = self.accept

    async def respond(self, request: Request, client: Client) -> Response | None:
        """Queue the events of a request, and return the response when Kafka has them.

        The dialect responds to permanent rejections, also of the whole request. Return None if the
        request is none of a dialect. Raises `Rejected` if the dialect is disabled.
        """
        if _is_large(request.body):
            return await self._respond_to_large(request, client)
        translated = self._completed(request, client, self._translate(request))
        if isinstance(translated, _Translated):
            return await self._send(translated)
        return translated

    def accept(
        self, request: Request, client: Client, started_at: float
    ) -> Pending | Response | None:
        """As `respond`, but return before Kafka has the events; None also for a large body."""
        if _is_large(request.body):
            return None
        translated = self._completed(request, client, self._translate(request))
        if not isinstance(translated, _Translated):
            return translated
        if len(translated.events) > 1:
            response = asyncio.create_task(self._send(translated))
            return SentBatch(response, started_at, request.path)
        (endpoint, _, events, client) = translated
        rejected = partial(self._reject, endpoint, request)
        try:
            sent = self._intake.send(events[0], client, started_at, parse_translated)
        except Rejected as error:
            return rejected(error)
        accepted = partial(_accepted, endpoint, request, _ids_of(events))
        return Sent(sent.event, sent.confirmed, started_at, request.path, accepted, rejected)

    def _translate(self, request: Request) -> _Read | None:
        """Return the endpoint of a request, and its events or why they are rejected.

        Return None and raise as `respond`. Large bodies are translated in a thread.
        """
        endpoint = self._find(request)
        if endpoint is None:
            return None
        try:
            events = endpoint.translate(request)
            check_count(len(events))
        except Rejected as rejected:
            return endpoint, rejected.without_frames()
        return endpoint, events

    def _completed(
        self, request: Request, client: Client, read: _Read | None
    ) -> _Translated | Response | None:
        """Return the events of `_translate` with all ids; without any, the response, or None."""
        if read is None:
            return None
        (endpoint, events) = read
        try:
            if isinstance(events, Rejected):
                raise events
            (events, client) = self._completion.complete(events, client)
        except Rejected as rejected:
            return self._reject(endpoint, request, rejected)
        if not events:
            return _response(endpoint.respond(request, Outcome(_ACCEPTED)))
        return _Translated(endpoint, request, events, client)

    async def _send(self, translated: _Translated) -> Response:
        (ids, queued) = await self._queue(translated)
        results = await self._intake.finish_batch(queued)
        return _respond(translated.endpoint, translated.request, ids, results)

    async def _queue(self, translated: _Translated) -> tuple[list[Event], Queued]:
        """Queue the events, and replace them by their ids: they may take 24 times their bytes."""
        (_, _, events, client) = translated
        queued = await self._intake.queue_batch(events, client, _parser_of_batch())
        ids = _ids_of(events)
        events.clear()
        return ids, queued

    async def _respond_to_large(self, request: Request, client: Client) -> Response | None:
        """As `respond`, without blocking the event loop while the body is translated."""
        async with self._decoding:
            read = await asyncio.to_thread(self._translate, request)
            translated = await self._completed_in_slices(request, client, read)
            del read
            if not isinstance(translated, _Translated):
                return translated
            (ids, queued) = await self._queue(translated)
        results = await self._intake.finish_batch(queued)
        return await asyncio.to_thread(_respond, translated.endpoint, request, ids, results)

    async def _completed_in_slices(
        self, request: Request, client: Client, read: _Read | None
    ) -> _Translated | Response | None:
        """As `_completed`, but let other tasks run in between."""
        if read is None:
            return None
        (endpoint, events) = read
        if isinstance(events, Rejected):
            return self._reject(endpoint, request, events)
        completed: list[Event] = []
        for start in range(0, max(1, len(events)), EVENTS_PER_SLICE):
            some = events[start : start + EVENTS_PER_SLICE]
            part = self._completed(request, client, (endpoint, some))
            if not isinstance(part, _Translated):
                return part
            completed += part.events
            client = part.client
            await asyncio.sleep(0)
        return _Translated(endpoint, request, completed, client)

    def _reject(self, endpoint: Endpoint, request: Request, rejected: Rejected) -> Response:
        results = self._intake.results([rejected.without_frames()])
        return _respond(endpoint, request, (), results)

    def _find(self, request: Request) -> Endpoint | None:
        for dialect, endpoint in DIALECT_ROUTES.at(request.path):
            if request.method in endpoint.methods and endpoint.matches(request):
                if dialect.name not in self._enabled:
                    now = ",".join(sorted(self._enabled)) or "none"
                    raise Rejected(
                        RejectReason.DIALECT_DISABLED,
                        title=dialect.title,
                        now=now,
                        name=dialect.name,
                    )
                return endpoint
        return None


def _ids_of(events: Sequence[Event]) -> list[Event]:
    """Return what replies contain of events."""
    return [{name: event.get(name) for name in _IDS} for event in events]


def _is_large(body: bytes) -> bool:
    return len(body) > _LARGE_COMPRESSED_BYTES and (
        len(body) > _LARGE_BYTES or body.startswith(GZIP_MAGIC)
    )


def _parser_of_batch() -> Parse:
    """Return a parser that admits all events once one of them is within a rate limit.

    The client sends the whole batch again if one is not. If it is larger than the burst of a limit,
    it would never be complete. An event with a site key is not one of its address.
    """
    sites: set[str] = set()
    is_admitted = False

    def parse(event: Event, context: EventContext, client: Client) -> EncodedEvent:
        nonlocal is_admitted
        client = replace(client, is_admitted=is_admitted, admitted_sites=sites)
        encoded = parse_translated(event, context, client)
        sites.add(event["site_id"])
        is_admitted = is_admitted or not (client.key or SITE_KEY in event)
        return encoded

    return parse


def _respond(
    endpoint: Endpoint, request: Request, events: Sequence[Event], results: Results
) -> Response:
    """Return the response of the dialect, or the error of an event that should be sent again."""
    for result in results.body["results"]:
        if result["status"] == "failed" or result.get("code") in _RETRIABLE:
            return _error(result, endpoint.explain, results.retry_after)
    outcome = Outcome(_status(results), results.body["results"], events)
    return _response(endpoint.respond(request, outcome))


def _accepted(
    endpoint: Endpoint, request: Request, events: Sequence[Event], event_id: str
) -> Response:
    """Return the response of the dialect to its only event."""
    result = {"index": 0, "status": "accepted", "event_id": event_id}
    return _response(endpoint.respond(request, Outcome(_ACCEPTED, [result], events)))


def _error(result: Mapping[str, Any], explain: Explain, retry_after: int) -> Response:
    status = RejectReason[result["code"].upper()].status
    response = responses.json(status, explain(status, result["code"], result["error"]))
    if status == RejectReason.RATE_LIMITED.status:
        return response.with_headers(responses.retry_after(retry_after))
    return response


def _status(results: Results) -> int:
    """Return the status of the batch, or that of its only rejection."""
    all_results = results.body["results"]
    if len(all_results) == 1 and "code" in all_results[0]:
        return RejectReason[all_results[0]["code"].upper()].status
    return results.status


#: Most clients expect the same response to all of their requests.
@lru_cache(maxsize=64)
def _response(reply: Reply) -> Response:
    response = responses.plain(reply.status, reply.content_type.encode(), reply.body)
    if reply.content_type:
        return response
    return Response(reply.status, [(b"content-length", b"%d" % len(reply.body))], reply.body)
