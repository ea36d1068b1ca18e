"""All paths of the role `api` that take no events: health, metrics and documentation."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Lifespan

from producer_api import answers
from producer_api.metrics import Metrics
from producer_api.rejected import Rejected, shown
from schemas.operations import Operations, allowed_methods
from schemas.reject_reasons import RejectReason


def pages(operations: Operations, metrics: Metrics, lifespan: Lifespan[Starlette]) -> Starlette:
    """Return the application that serves them; other paths and methods are counted as rejected."""

    async def reject(request: Request, error: Exception) -> Response:
        path = shown(request.scope["path"])
        rejected = Rejected(RejectReason.NOT_FOUND, path=path)
        if (
            isinstance(error, HTTPException)
            and error.status_code == RejectReason.METHOD_NOT_ALLOWED.status
        ):
            allowed = allowed_methods(request.app.routes, request)
            rejected = Rejected(
                RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=allowed, method=request.method
            )
        metrics.count_rejected(rejected)
        answer = answers.refusal(rejected)
        if _has_body(request):  # nobody reads it
            answer = answer.closing()
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return Response(answer.body, answer.status, headers)

    return Starlette(
        routes=operations.routes(),
        exception_handlers={HTTPException: reject},
        lifespan=lifespan,
    )


def _has_body(request: Request) -> bool:
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
