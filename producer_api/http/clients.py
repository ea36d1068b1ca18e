"""The client of a request, from its headers and its connection."""

from collections.abc import Collection, Mapping

from producer_api.events.client import Client
from schemas.trusted_proxies import RawHeader, TrustedProxies

_BEARER = "bearer "
#: Of Cloudflare, Vercel and CloudFront.
_COUNTRY_HEADERS = (b"cf-ipcountry", b"x-vercel-ip-country", b"cloudfront-viewer-country")


class Clients:
    """Reads the clients of requests. Forwarding headers are trusted from proxies only."""

    def __init__(self, proxies: TrustedProxies) -> None:
        self.proxies = proxies
        #: Whether `Client.traceparent` is read.
        self.reads_traces = False

    def read(self, headers: Mapping[bytes, bytes], raw: Collection[RawHeader], peer: str) -> Client:
        """Return the client of a request from the address `peer`.

        `headers` has lower-case names; `raw` also has repeated headers.
        """
        authorization = _text(headers, b"authorization")
        is_key = authorization[: len(_BEARER)].lower() == _BEARER
        address, country = peer, ""
        if self.proxies.trusts(peer):
            address = self.proxies.client_address(peer, raw)
            country = next(
                (_text(headers, name) for name in _COUNTRY_HEADERS if name in headers), ""
            )
        return Client(
            address=address,
            user_agent=_text(headers, b"user-agent"),
            language=_text(headers, b"accept-language"),
            origin=_text(headers, b"origin"),
            key=authorization[len(_BEARER) :].strip() if is_key else "",
            country=country,
            opts_out=headers.get(b"sec-gpc") == b"1" or headers.get(b"dnt") == b"1",
            traceparent=_text(headers, b"traceparent") if self.reads_traces else "",
        )


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    value = headers.get(name)
    return "" if value is None else value.decode("latin-1")
