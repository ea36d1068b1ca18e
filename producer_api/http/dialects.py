"""Serves the requests of other systems' clients: translate, ingest as a batch, reply."""

from typing import NamedTuple

from producer_api.events.batch import MAX_EVENTS
from producer_api.events.client import Client
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.model import Endpoint, Event, Outcome
from producer_api.events.dialects.parsing import parse_translated
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http import responses
from producer_api.http.intake import Intake, Results, Sent
from producer_api.http.paths import DIALECT_ROUTES
from producer_api.http.responses import Response
from schemas.reject_reasons import RejectReason

#: Results of events that the client should send again.
_RETRIABLE = frozenset({RejectReason.RATE_LIMITED.code, RejectReason.NOT_READY.code})


_ACCEPTED = 202


class DialectIntake:
    """Accepts requests of dialects."""

    def __init__(self, intake: Intake, enabled: frozenset[str], completion: Completion) -> None:
        self._intake = intake
        self._enabled = enabled
        self._completion = completion
        intake.accept_other = self.accept

    async def respond(self, request: Request, client: Client) -> Response | None:
        """Queue the events of a request, and return the response when Kafka has them.

        Return None if the request is none of a dialect. Raises `Rejected`.
        """
        translated = self._translate(request, client)
        if translated is None:
            return None
        if not translated.events:
            return translated.response(Outcome(_ACCEPTED))
        results = await self._intake.send_batch(
            translated.events, translated.client, parse_translated
        )
        return _retriable(results) or translated.respond(results)

    def accept(self, request: Request, client: Client, started_at: float) -> Sent | Response | None:
        """Queue the only event of a request, or return the response that rejects it.

        Return None if the request is none of a dialect or has several events. Raises `Rejected`.
        """
        translated = self._translate(request, client)
        if translated is None or len(translated.events) != 1:
            return None
        (event,) = translated.events
        try:
            sent = self._intake.send(event, translated.client, started_at, parse_translated)
        except Rejected as rejected:
            results = self._intake.results([rejected.without_frames()])
            return _retriable(results) or translated.respond(results)
        return sent._replace(accepted=translated.accepted)

    def _translate(self, request: Request, client: Client) -> "_Translated | None":
        endpoint = self._find(request)
        if endpoint is None:
            return None
        events = endpoint.translate(request)
        if len(events) > MAX_EVENTS:
            raise Rejected(RejectReason.TOO_MANY_EVENTS, count=f"{len(events):,}")
        return _Translated(request, endpoint, *self._completion.complete(events, client))

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


class _Translated(NamedTuple):
    """A request, its endpoint, its events and its client."""

    request: Request
    endpoint: Endpoint
    events: list[Event]
    client: Client

    def response(self, outcome: Outcome) -> Response:
        """Return the response of the dialect."""
        reply = self.endpoint.respond(self.request, outcome)
        response = responses.plain(reply.status, reply.content_type.encode(), reply.body)
        if reply.content_type:
            return response
        return Response(reply.status, [(b"content-length", b"%d" % len(reply.body))], reply.body)

    def respond(self, results: Results) -> Response:
        """Return the response to results of which none is to be sent again."""
        return self.response(Outcome(_status(results), results.body["results"], self.events))

    def accepted(self, event_id: str) -> Response:
        """Return the response if the only event is accepted."""
        result = {"index": 0, "status": "accepted", "event_id": event_id}
        return self.response(Outcome(_ACCEPTED, [result], self.events))


def _retriable(results: Results) -> Response | None:
    """Return the error of the first event that should be sent again, None if there is none."""
    for result in results.body["results"]:
        if result["status"] == "failed" or result.get("code") in _RETRIABLE:
            status = RejectReason[result["code"].upper()].status
            response = responses.json(status, {"error": result["error"], "code": result["code"]})
            if status == RejectReason.RATE_LIMITED.status:
                return response.with_headers(responses.retry_after(results.retry_after))
            return response
    return None


def _status(results: Results) -> int:
    """Return the status of the batch, or that of its only rejection."""
    all_results = results.body["results"]
    if len(all_results) == 1 and "code" in all_results[0]:
        return RejectReason[all_results[0]["code"].upper()].status
    return results.status
