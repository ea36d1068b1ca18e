"""Answers as bytes, and refusals as sentences."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

Headers = list[tuple[bytes, bytes]]

_NO_CONTENT = 204
#: What a sentence repeats of what the client sent, at most.
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes

    def with_headers(self, *more: tuple[bytes, bytes]) -> "Answer":
        """Return the same answer with more headers."""
        return replace(self, headers=[*self.headers, *more])


class Refused(Exception):  # noqa: N818 - it is an outcome
    """A request is refused: with this status, code and sentence; `field` names what is wrong."""

    def __init__(
        self, status: int, code: str, sentence: str, field: str | None = None, **headers: str
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.field = field
        self.headers = headers

    def answer(self) -> Answer:
        """Return what the client is told."""
        told = {"error": self.sentence, "code": self.code}
        if self.field is not None:
            told["field"] = self.field
        headers = [
            (name.replace("_", "-").encode(), value.encode())
            for name, value in self.headers.items()
        ]
        return json(self.status, told).with_headers(*headers)


def json(status: int, content: Any) -> Answer:
    """Return an answer in JSON, which nobody on the way keeps."""
    body = msgspec.json.encode(content)
    return plain(status, b"application/json", body).with_headers((b"cache-control", b"no-store"))


def plain(status: int, content_type: bytes, body: bytes) -> Answer:
    """Return an answer of any content type; no browser guesses another."""
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    return Answer(status, headers, body)


def empty(status: int) -> Answer:
    """Return an answer without a body."""
    length = [] if status == _NO_CONTENT else [(b"content-length", b"0")]
    return Answer(status, [(b"cache-control", b"no-store"), *length], b"")


def bad_parameter(field: str, sentence: str) -> Refused:
    """Return the refusal of a query parameter."""
    return Refused(400, "bad_parameter", sentence, field)


def not_found(path: str) -> Refused:
    """Return the refusal of a path that there is not."""
    return Refused(404, "not_found", f"There is nothing at {shown(path)}")


def overloaded() -> Refused:
    """Return the refusal of one too many."""
    return Refused(503, "overloaded", "The server is full; try again in a moment", retry_after="1")


def not_ready(sentence: str) -> Refused:
    """Return the refusal of what may be there later."""
    return Refused(503, "not_ready", sentence, retry_after="1")


def shown(text: str) -> str:
    """Return the text cut to what a sentence can carry."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS] + "..."
