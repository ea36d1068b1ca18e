"""HTTP responses as bytes."""

from typing import Any

import msgspec
from msgspec.structs import replace

from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_RETRIABLE_STATUSES = frozenset({408, 500, 503})

_ACCEPTED_PREFIX = b'{"status":"accepted","event_id":"'
_ACCEPTED_SUFFIX = b'"}'
_ID_CHARACTERS = 36
_ACCEPTED_LENGTH = len(_ACCEPTED_PREFIX) + _ID_CHARACTERS + len(_ACCEPTED_SUFFIX)
_ACCEPTED_HEADERS = [_JSON, (b"content-length", b"%d" % _ACCEPTED_LENGTH)]


class Response(msgspec.Struct, frozen=True, gc=False):
    """A complete response. `closes` ends the connection, because the request body was not read."""

    status: int
    headers: Headers
    body: bytes
    closes: bool = False

    def with_headers(self, *more: tuple[bytes, bytes]) -> "Response":
        """Return a copy with additional headers."""
        return replace(self, headers=[*self.headers, *more])

    def closing(self) -> "Response":
        """Return a copy that closes the connection."""
        return replace(self.with_headers((b"connection", b"close")), closes=True)


def accepted(event_id: str) -> Response:
    """Return the 202 response to an event that Kafka confirmed."""
    body = b"%b%b%b" % (_ACCEPTED_PREFIX, event_id.encode(), _ACCEPTED_SUFFIX)
    return Response(202, _ACCEPTED_HEADERS, body)


def json(status: int, content: Any) -> Response:
    """Return a JSON response; 408, 500 and 503 have a `Retry-After` header."""
    response = plain(status, _JSON[1], msgspec.json.encode(content))
    return response.with_headers(retry_after(1)) if status in _RETRIABLE_STATUSES else response


def plain(status: int, content_type: bytes, body: bytes) -> Response:
    """Return a response with any content type."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    return Response(status, headers, body)


def retry_after(seconds: int) -> tuple[bytes, bytes]:
    """Return the header that says when to retry."""
    return (b"retry-after", b"%d" % seconds)


def error_response(rejected: Rejected, members: dict[str, Any] | None = None) -> Response:
    """Return the error response for a rejection; `members` are more of its JSON, or override it."""
    response = json(rejected.reason.status, rejected.to_json() | (members or {}))
    if "retry_after" in rejected.details:
        return response.with_headers(retry_after(rejected.details["retry_after"]))
    if rejected.reason is RejectReason.BAD_KEY:
        return response.with_headers((b"www-authenticate", b'Bearer error="invalid_token"'))
    if "allowed" in rejected.details:
        return response.with_headers((b"allow", rejected.details["allowed"].encode()))
    return response
