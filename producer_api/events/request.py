"""A request that sends events: what is left of it when HTTP is done."""

from collections.abc import Mapping
from functools import cached_property

import msgspec
from yarl import URL


class Request(msgspec.Struct, frozen=True, dict=True):
    """A request that sends events, in our format or that of another client."""

    method: str
    #: Without duplicate and trailing slashes.
    path: str
    #: The query string, without the question mark.
    query: str = ""
    #: By name in lower case.
    headers: Mapping[bytes, bytes] = msgspec.field(default_factory=dict)
    #: Decompressed if the request has `Content-Encoding: gzip`.
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """Return the value of a header; "" if there is none."""
        return self.headers.get(name, b"").decode("latin-1")

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query; of duplicate ones the last."""
        return parameters_of(self.query)


def parameters_of(query: str) -> dict[str, str]:
    """Return the parameters of a query or an urlencoded body; of duplicate ones the last.

    As `dict(parse_qsl(query, keep_blank_values=True))`, which takes four times as long.
    """
    if not query:
        return {}
    if "%" in query or "+" in query:
        return dict(URL.build(query_string=query, encoded=True).query.items())
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {name: value for name, _, value in pairs}
