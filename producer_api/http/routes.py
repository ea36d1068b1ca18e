"""The routes of the role `api` other than ingestion: scripts, health, metrics and documentation."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Lifespan

from producer_api.events.rejection import Rejected, shorten
from producer_api.http import responses
from producer_api.http.metrics import Metrics
from producer_api.http.scripts import ANY_ORIGIN, missing_version, routes
from schemas.operational_endpoints import Operations, allowed_methods
from schemas.reject_reasons import RejectReason


def pages(operations: Operations, metrics: Metrics, lifespan: Lifespan[Starlette]) -> Starlette:
    """Return the application of these routes; it counts other paths and methods as rejected."""

    async def reject(request: Request, error: Exception) -> Response:
        path = shorten(request.scope["path"])
        sentence = missing_version(path)
        rejected = Rejected(RejectReason.NOT_FOUND, sentence=sentence, path=path)
        if (
            isinstance(error, HTTPException)
            and error.status_code == RejectReason.METHOD_NOT_ALLOWED.status
        ):
            allowed = allowed_methods(request.app.routes, request)
            rejected = Rejected(
                RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=allowed, method=request.method
            )
        metrics.count_rejected(rejected)
        error_response = responses.error_response(rejected)
        if _has_body(request):  # it is not read
            error_response = error_response.closing()
        headers = {name.decode(): value.decode() for name, value in error_response.headers}
        if sentence is not None:
            headers |= ANY_ORIGIN
        return Response(error_response.body, error_response.status, headers)

    return Starlette(
        routes=[*routes(), *operations.routes()],
        exception_handlers={HTTPException: reject},
        lifespan=lifespan,
    )


def _has_body(request: Request) -> bool:
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
