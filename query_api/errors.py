"""Error responses of HTTP out: `{"error":"<sentence>","code":"<code>"}`, often with `field`."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from schemas.operational_endpoints import allowed_methods
from schemas.root_path import root_path_of
from sinks.delivery.publisher import Unavailable
from sinks.delivery.service import NotFound
from sinks.delivery.subscription_spec import Invalid
from sinks.sql.errors import (
    ReadTimeout,
    explain,
    is_connection_rejected,
    is_schema_missing,
    is_transient,
)

_log = logging.getLogger(__name__)

#: Maximum length of client input in a message.
_MAX_CHARACTERS = 100

#: Codes by status, with their meanings. The message of a response is more specific.
_CODES = {
    400: {
        "bad_parameter": "A query parameter is invalid or unknown; field names it.",
        "bad_site_id": "site_id must be 1 to 64 characters from A-Z a-z 0-9 . _ -",
        "invalid_json": "The body is not valid JSON.",
        "not_an_object": "The body must be a JSON object.",
        "invalid_field": "A field of the body is invalid; field names it.",
    },
    401: {
        "unauthorized": "The token is missing, or invalid if WWW-Authenticate has invalid_token."
    },
    403: {
        "forbidden": "The token has no access to this site.",
        "manage_required": "The token can only read; a change requires the scope manage.",
        "foreign_origin": "A page of another origin cannot use the cookie for a change.",
    },
    404: {"not_found": "The path or the id does not exist."},
    405: {"method_not_allowed": "The path does not support this method; see the header Allow."},
    413: {"body_too_large": "The body exceeds the size limit."},
    429: {
        "too_many_lists": "The token has too many pending lists; Retry-After says when to retry.",
        "too_many_streams": "The token or the site has too many open streams; close one first.",
    },
    500: {"internal_error": "Internal server error; see the server's log."},
    503: {
        "not_ready": "Kafka or the database is unreachable; Retry-After says when to retry.",
        "overloaded": "The server is overloaded; Retry-After says when to retry.",
        "shutting_down": "The server is shutting down; Retry-After says when to retry.",
    },
    504: {"too_slow": "The query took too long and was cancelled; request less."},
}
#: The meaning of each code.
CODES = {code: about for codes in _CODES.values() for code, about in codes.items()}
_STATUSES = {code: status for status, codes in _CODES.items() for code in codes}


class ApiError(HTTPException):
    """An error response. `field` is the invalid parameter or field, keywords become headers."""

    def __init__(self, code: str, sentence: str, field: str | None = None, **headers: str) -> None:
        http_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(_STATUSES[code], sentence, http_headers)
        self.code = code
        self.field = field


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses with these statuses, for the OpenAPI document."""
    # Not a `model`, which would have the content type of the route.
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {
        status: {"description": "Codes: " + ", ".join(_CODES[status]), "content": content}
        for status in statuses
    }


async def error_response(request: Request, error: Exception) -> Response:
    """Return the response for an `ApiError`, or for an error of the router."""
    api_error = error if isinstance(error, ApiError) else _routing_error(request, error)
    request.state.code = api_error.code  # for the access log
    content = {"error": api_error.detail, "code": api_error.code}
    if api_error.field is not None:
        content["field"] = api_error.field
    return JSONResponse(content, api_error.status_code, api_error.headers)


def _routing_error(request: Request, error: Exception) -> ApiError:
    if isinstance(error, AnyHTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = allowed_methods(request.app.state.routes, request)
        (path, method) = (truncated(request.scope["path"]), truncated(request.state.method))
        return ApiError(
            "method_not_allowed", f"{path} supports {allowed}, not {method}", allow=allowed
        )
    return not_found(request, f"; the paths are documented at {root_path_of(request.scope)}/docs")


class NoResponse(Response):
    """The response to a client that has disconnected: sends nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


class Route(APIRoute):
    """A route that converts exceptions of its handler to `ApiError`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except AnyHTTPException:
                raise
            except NotFound:
                raise not_found(request) from None
            except ClientDisconnect:
                return NoResponse()
            except Exception as error:  # noqa: BLE001 - logged, and reported as 500
                raise _api_error(error) from None

        return handler


def _api_error(error: Exception) -> ApiError:
    """Return the error response for an exception; log unexpected ones."""
    if isinstance(error, Invalid):
        return ApiError("invalid_field", error.sentence, error.field)
    if (api_error := unavailable(error)) is not None:
        return api_error
    _log.error("A request failed", exc_info=error)
    return ApiError("internal_error", "Internal server error: see the server's log")


def unavailable(error: Exception) -> ApiError | None:
    """Return the error response if Kafka or the database is unavailable, else None."""
    if isinstance(error, Unavailable):
        return not_ready(str(error) or "Kafka or the database does not respond")
    if isinstance(error, ReadTimeout):
        return ApiError(
            "too_slow",
            f"The query took longer than {error.seconds:g} s and was cancelled; request less, with "
            "from and to or a smaller limit",
        )
    if is_schema_missing(error):
        return not_ready("The database is not set up yet: run `headrace db upgrade`")
    is_unavailable = is_transient(error) or is_connection_rejected(error)
    return not_ready(explain(error)) if is_unavailable else None


def bad_parameter(field: str, sentence: str) -> ApiError:
    """Return the error response for an invalid query parameter."""
    return ApiError("bad_parameter", sentence, field)


def not_found(request: Request, hint: str = "") -> ApiError:
    """Return the error response for a path or an id that does not exist."""
    return ApiError("not_found", f"There is nothing at {truncated(request.scope['path'])}{hint}")


def not_ready(sentence: str) -> ApiError:
    """Return the error response while Kafka or the database is unavailable."""
    return ApiError("not_ready", sentence, retry_after="1")


def overloaded() -> ApiError:
    """Return the error response for a request over a limit of the server."""
    return ApiError("overloaded", "The server is overloaded; retry in a moment", retry_after="1")


def truncated(text: str) -> str:
    """Return client input, truncated for a message."""
    if len(text) <= _MAX_CHARACTERS:
        return text
    return text[:_MAX_CHARACTERS] + "..."
