"""A request as the handlers see it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from sinks.query.answers import Refused
from sinks.query.tokens import Grant

Receive = Callable[[], Awaitable[Any]]

MAX_BODY_BYTES = 64 * 1024
_MOST_PARAMETERS = 50


class Disconnected(Exception):  # noqa: N818 - it is an outcome
    """The client went away; there is nobody to answer."""


@dataclass(slots=True)
class Request:
    """One request; `names` are the parts of its path that are not fixed."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    query: Mapping[str, str]
    receive: Receive
    scheme: str = "http"
    names: Mapping[str, str] = field(default_factory=dict)
    grant: Grant = field(default_factory=lambda: Grant("", frozenset()))

    async def body(self) -> dict[str, Any]:
        """Return the body, a JSON object; `Refused` when it is not one, or too large."""
        raw = await self._read()
        try:
            content = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise Refused(400, "invalid_json", f"The body is not valid JSON: {detail}") from None
        if not isinstance(content, dict):
            raise Refused(400, "not_an_object", "The body must be a JSON object")
        return content

    async def _read(self) -> bytes:
        whole = bytearray()
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Disconnected
            whole += message.get("body", b"")
            more = message.get("more_body", False)
            if len(whole) > MAX_BODY_BYTES:
                raise Refused(
                    413,
                    "body_too_large",
                    f"The body is over {MAX_BODY_BYTES} bytes",
                    connection="close",
                )
        return bytes(whole)


def read_request(scope: Mapping[str, Any], receive: Receive) -> Request:
    """Return the request of an ASGI scope; of a parameter given twice the last counts."""
    try:
        text = scope["query_string"].decode("utf-8")
        query = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
    except ValueError:  # UnicodeDecodeError among them
        raise Refused(400, "bad_parameter", "The query string cannot be read") from None
    return Request(
        scope["method"],
        scope["path"],
        dict(scope["headers"]),
        query,
        receive,
        scope.get("scheme", "http"),
    )
