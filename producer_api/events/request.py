"""A request that sends events: what is left of it when HTTP is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Request:
    """A request that sends events, in our format or that of another client."""

    method: str
    #: Without duplicate and trailing slashes.
    path: str
    #: The query string, without the question mark.
    query: str = ""
    #: By name in lower case.
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    #: Decompressed if the request has `Content-Encoding: gzip`.
    body: bytes = b""

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query; of duplicate ones the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))
