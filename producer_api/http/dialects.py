"""Serves the requests of other systems' clients: translate, ingest as a batch, reply."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from producer_api.events.client import Client
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.decoding import check_count
from producer_api.events.dialects.model import SITE_KEY, Endpoint, Event, Explain, Outcome, Reply
from producer_api.events.dialects.parsing import parse_translated
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http import responses
from producer_api.http.intake import Intake, Parse, Pending, Results, Sent, SentBatch
from producer_api.http.paths import DIALECT_ROUTES
from producer_api.http.responses import Response
from schemas.reject_reasons import RejectReason

#: Results of events that the client should send again.
_RETRIABLE = frozenset({RejectReason.RATE_LIMITED.code, RejectReason.NOT_READY.code})
_ACCEPTED = 202


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
        intake.accept_other = self.accept

    async def respond(self, request: Request, client: Client) -> Response | None:
        """Queue the events of a request, and return the response when Kafka has them.

        The dialect responds to permanent rejections, also of the whole request. Return None if the
        request is none of a dialect. Raises `Rejected` if the dialect is disabled.
        """
        translated = self._translate(request, client)
        if isinstance(translated, _Translated):
            return await self._send(translated)
        return translated

    def accept(
        self, request: Request, client: Client, started_at: float
    ) -> Pending | Response | None:
        """As `respond`, but return before Kafka has the events."""
        translated = self._translate(request, client)
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
        accepted = partial(_accepted, endpoint, request, events)
        return Sent(sent.event, sent.confirmed, started_at, request.path, accepted, rejected)

    def _translate(self, request: Request, client: Client) -> _Translated | Response | None:
        """Return the events of a request; without any, its response, or None as `respond`."""
        endpoint = self._find(request)
        if endpoint is None:
            return None
        try:
            (events, client) = self._events(endpoint, request, client)
        except Rejected as rejected:
            return self._reject(endpoint, request, rejected)
        if not events:
            return _response(endpoint.respond(request, Outcome(_ACCEPTED)))
        return _Translated(endpoint, request, events, client)

    async def _send(self, translated: _Translated) -> Response:
        (endpoint, request, events, client) = translated
        results = await self._intake.send_batch(events, client, _parser_of_batch())
        return _respond(endpoint, request, events, results)

    def _reject(self, endpoint: Endpoint, request: Request, rejected: Rejected) -> Response:
        results = self._intake.results([rejected.without_frames()])
        return _respond(endpoint, request, (), results)

    def _events(
        self, endpoint: Endpoint, request: Request, client: Client
    ) -> tuple[list[Event], Client]:
        """Return the events of a request, and the client with the site key. Raises `Rejected`."""
        events = endpoint.translate(request)
        check_count(len(events))
        return self._completion.complete(events, client)

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
