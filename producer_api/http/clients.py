"""The client of a request, from its headers and its connection."""

from collections.abc import Mapping

from producer_api.events.client import Client

_BEARER = "bearer "


def client_of(headers: Mapping[bytes, bytes], peer: str) -> Client:
    """Return the client of a request with these headers (lower case) from the address `peer`."""
    authorization = _text(headers, b"authorization")
    is_key = authorization[: len(_BEARER)].lower() == _BEARER
    return Client(
        address=peer,
        user_agent=_text(headers, b"user-agent"),
        language=_text(headers, b"accept-language"),
        origin=_text(headers, b"origin"),
        key=authorization[len(_BEARER) :].strip() if is_key else "",
        opts_out=headers.get(b"sec-gpc") == b"1" or headers.get(b"dnt") == b"1",
    )


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    value = headers.get(name)
    return "" if value is None else value.decode("latin-1")
