"""Errors of HTTP out: every one is `{"error":"<sentence>","code":"<code>"}`, often with `field`."""

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

from schemas.operations import allowed_methods
from sinks.sql.errors import (
    ReadTimeout,
    explain,
    is_connection_rejected,
    is_schema_missing,
    is_transient,
)
from sinks.webhooks.asked import Invalid
from sinks.webhooks.service import NotFound
from sinks.webhooks.topic import Unavailable

_log = logging.getLogger(__name__)

#: The part of a client's text that a sentence repeats.
_SHOWN_CHARACTERS = 100

#: Status and meaning of each code; the sentence of an answer says what is wrong this time.
_CODES = {
    400: {
        "bad_parameter": "A parameter of the query is wrong, or unknown; field names it.",
        "bad_site_id": "site_id must be 1 to 64 characters out of A-Z a-z 0-9 . _ -",
        "invalid_json": "The body is not valid JSON.",
        "not_an_object": "The body must be a JSON object.",
        "invalid_field": "A field of the body is wrong; field names it.",
    },
    401: {"unauthorized": "A token is missing; or, if WWW-Authenticate has invalid_token, wrong."},
    403: {
        "forbidden": "The token is not for this site.",
        "manage_required": "The token can only read; a change needs the scope manage.",
        "foreign_origin": "A page of another origin may change nothing with the page's cookie.",
    },
    404: {"not_found": "There is no such path, or nothing of this id."},
    405: {"method_not_allowed": "The path does not take this method; Allow names those it takes."},
    413: {"body_too_large": "The body is over its limit."},
    429: {
        "too_many_lists": "The token has too many lists waiting; Retry-After says when to retry.",
        "too_many_streams": "The token has as many streams open as it may; close one first.",
    },
    500: {"internal_error": "The server failed at this, and its log says where."},
    503: {
        "not_ready": "Kafka or the database is not reached; Retry-After says when to retry.",
        "overloaded": "The server is full; Retry-After says when to retry.",
        "shutting_down": "The server is shutting down; Retry-After says when to retry.",
    },
    504: {"too_slow": "The read took too long and was ended; ask for less."},
}
#: The meaning of each code.
CODES = {code: about for codes in _CODES.values() for code, about in codes.items()}
_STATUSES = {code: status for status, codes in _CODES.items() for code in codes}


class ApiError(HTTPException):
    """A request is rejected; `field` names the wrong parameter or field. Headers by keyword."""

    def __init__(self, code: str, sentence: str, field: str | None = None, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(_STATUSES[code], sentence, named)
        self.code = code
        self.field = field


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return these error responses for the OpenAPI document."""
    # Not as a model, whose content type would be that of the route.
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {
        status: {"description": "Codes: " + ", ".join(_CODES[status]), "content": content}
        for status in statuses
    }


async def answer_error(request: Request, error: Exception) -> Response:
    """Return the response to an error, also to those of the framework's routing."""
    found = error if isinstance(error, ApiError) else _of_routing(request, error)
    request.state.code = found.code  # for the access log
    content = {"error": found.detail, "code": found.code}
    if found.field is not None:
        content["field"] = found.field
    return JSONResponse(content, found.status_code, found.headers)


def _of_routing(request: Request, error: Exception) -> ApiError:
    if isinstance(error, AnyHTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = allowed_methods(request.app.state.routes, request)
        (path, method) = (shown(request.scope["path"]), shown(request.state.method))
        return ApiError(
            "method_not_allowed", f"{path} takes {allowed}, not {method}", allow=allowed
        )
    return not_found(request)


class ClientGone(Response):
    """The response to a client that has gone away: nothing is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


class Route(APIRoute):
    """A route whose failures are answered as errors: trouble with the database, and ours."""

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
                return ClientGone()
            except Exception as error:  # noqa: BLE001 - the edge: logged and answered
                raise failure(error) from None

        return handler


def failure(error: Exception) -> ApiError:
    """Return the error for an exception; one that is a fault of ours is logged."""
    if isinstance(error, Invalid):
        return ApiError("invalid_field", error.sentence, error.field)
    if (found := unavailable(error)) is not None:
        return found
    _log.error("A request failed", exc_info=error)
    return ApiError("internal_error", "The server failed at this, and its log says where")


def unavailable(error: Exception) -> ApiError | None:
    """Return the error for trouble with Kafka or the database; None for any other exception."""
    if isinstance(error, Unavailable):
        return not_ready(str(error) or "Kafka or the database does not answer")
    if isinstance(error, ReadTimeout):
        return ApiError(
            "too_slow",
            f"The read took longer than {error.seconds:g} s and was ended; ask for less, by from "
            "and to or a smaller limit",
        )
    if is_schema_missing(error):
        return not_ready("The database is not set up yet: run `headrace db upgrade`")
    is_away = is_transient(error) or is_connection_rejected(error)
    return not_ready(explain(error)) if is_away else None


def bad_parameter(field: str, sentence: str) -> ApiError:
    """Return the error for a query parameter."""
    return ApiError("bad_parameter", sentence, field)


def not_found(request: Request) -> ApiError:
    """Return the error for a path or an id that does not exist."""
    return ApiError("not_found", f"There is nothing at {shown(request.scope['path'])}")


def not_ready(sentence: str) -> ApiError:
    """Return the error for what may succeed later."""
    return ApiError("not_ready", sentence, retry_after="1")


def overloaded() -> ApiError:
    """Return the error for a request over the server's limit."""
    return ApiError("overloaded", "The server is full; try again in a moment", retry_after="1")


def shown(text: str) -> str:
    """Return the text cut to what a sentence can carry."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS] + "..."
