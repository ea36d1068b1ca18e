"""Answers, as bytes: the one place where a refusal becomes a status and a body."""

from typing import Any

import msgspec
from msgspec.structs import replace

from producer_api.rejected import Rejected

Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_RETRY_AFTER = (b"retry-after", b"1")
_TO_BE_RETRIED = frozenset({500, 503})

_ACCEPTED_BEGIN = b'{"status":"accepted","event_id":"'
_ACCEPTED_END = b'"}'
_ID_CHARACTERS = 36
_ACCEPTED_LENGTH = len(_ACCEPTED_BEGIN) + _ID_CHARACTERS + len(_ACCEPTED_END)
_ACCEPTED_HEADERS = [_JSON, (b"content-length", b"%d" % _ACCEPTED_LENGTH)]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer; one that `closes` ends the connection, since the body was not read."""

    status: int
    headers: Headers
    body: bytes
    closes: bool = False

    def with_headers(self, *more: tuple[bytes, bytes]) -> "Answer":
        """Return the same answer with more headers."""
        return replace(self, headers=[*self.headers, *more])

    def closing(self) -> "Answer":
        """Return the same answer as the last one of its connection."""
        return replace(self.with_headers((b"connection", b"close")), closes=True)


def accepted(event_id: str) -> Answer:
    """Return 202: Kafka has the event."""
    body = b"%b%b%b" % (_ACCEPTED_BEGIN, event_id.encode(), _ACCEPTED_END)
    return Answer(202, _ACCEPTED_HEADERS, body)


def json(status: int, content: Any) -> Answer:
    """Return an answer in JSON; what may succeed later says when to try."""
    answer = plain(status, _JSON[1], msgspec.json.encode(content))
    return answer.with_headers(_RETRY_AFTER) if status in _TO_BE_RETRIED else answer


def plain(status: int, content_type: bytes, body: bytes) -> Answer:
    """Return an answer of any content type."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    return Answer(status, headers, body)


def refusal(rejected: Rejected) -> Answer:
    """Return the answer that a refusal deserves."""
    answer = json(rejected.reason.status, rejected.fields())
    if "allowed" in rejected.details:
        return answer.with_headers((b"allow", rejected.details["allowed"].encode()))
    return answer
