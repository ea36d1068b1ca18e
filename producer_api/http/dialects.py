"""Serves the requests of other systems' clients: translate, ingest as a batch, reply."""

import msgspec

from producer_api.events.batch import MAX_EVENTS
from producer_api.events.client import Client
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.model import Endpoint, Explain, Outcome, Reply
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http import responses
from producer_api.http.intake import Intake, Results
from producer_api.http.paths import DIALECT_ROUTES
from producer_api.http.responses import Response
from schemas.reject_reasons import RejectReason

#: Results of events that the client should send again.
_RETRIABLE = frozenset({RejectReason.RATE_LIMITED.code, RejectReason.NOT_READY.code})


class DialectIntake:
    """Accepts requests of dialects."""

    def __init__(self, intake: Intake, enabled: frozenset[str], completion: Completion) -> None:
        self._intake = intake
        self._enabled = enabled
        self._completion = completion

    async def respond(self, request: Request, client: Client) -> Response | None:
        """Queue the events of a request, and return the response when Kafka has them.

        Return None if the request is none of a dialect. Raises `Rejected`.
        """
        endpoint = self._find(request)
        if endpoint is None:
            return None
        events = endpoint.translate(request)
        if len(events) > MAX_EVENTS:
            raise Rejected(RejectReason.TOO_MANY_EVENTS, count=f"{len(events):,}")
        if not events:
            return _response(endpoint.respond(request, Outcome(202)))
        (events, client) = self._completion.complete(events, client)
        raws = [msgspec.json.encode(event) for event in events]
        results = await self._intake.send_batch(raws, client)
        if failed := _retriable(results, endpoint.explain):
            return failed
        outcome = Outcome(_status(results), results.body["results"], events)
        return _response(endpoint.respond(request, outcome))

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


def _retriable(results: Results, explain: Explain) -> Response | None:
    """Return the error of the first event that should be sent again, None if there is none."""
    for result in results.body["results"]:
        if result["status"] == "failed" or result.get("code") in _RETRIABLE:
            status = RejectReason[result["code"].upper()].status
            response = responses.json(status, explain(status, result["code"], result["error"]))
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


def _response(reply: Reply) -> Response:
    response = responses.plain(reply.status, reply.content_type.encode(), reply.body)
    if reply.content_type:
        return response
    return Response(reply.status, [(b"content-length", b"%d" % len(reply.body))], reply.body)
