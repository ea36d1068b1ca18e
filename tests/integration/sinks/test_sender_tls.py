"""Delivery over TLS with a test CA."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from sinks.delivery.schedule import Outcome
from sinks.delivery.sender import Sender
from sinks.sql.types import now_utc
from tests.contract.sinks.subscribed import SECRET
from tests.integration.sinks.receivers import Receiver, good, receiving

HOST = "hooks.example"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Yield a CA that is the only one trusted."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


class TlsServer:
    """The TLS context of a receiver, and the server names that were requested."""

    def __init__(self, authority: trustme.CA, *names: str, **more: Any) -> None:
        self.asked_for: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names, **more).configure_cert(self.context)
        self.context.sni_callback = lambda _made, name, _context: self.asked_for.append(name)


async def send(receiver: Receiver, host: str = HOST) -> Outcome:
    """Send to a name that resolves to the receiver's address."""

    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    url = receiver.url.replace("127.0.0.1", host)
    async with Sender(allow_private=True, getaddrinfo=resolve) as sender:
        return await sender.send(url, SECRET, "d-1", "{}", now_utc())


async def test_a_certificate_for_the_name_is_accepted(authority: trustme.CA) -> None:
    """The name is used for SNI and verification, although the connection is to an address."""
    tls = TlsServer(authority, HOST)
    async with receiving(good, tls.context) as receiver:
        outcome = await send(receiver)

    (message,) = receiver.messages
    assert outcome[:2] == (204, None)
    assert tls.asked_for == [HOST]
    assert message.headers["Host"].startswith(HOST)
    assert message.verified(SECRET) == {}


@pytest.mark.parametrize("names", [("other.example",), ("127.0.0.1",), ("*.hooks.example",)])
async def test_a_certificate_for_another_name_is_rejected(
    authority: trustme.CA, names: tuple[str, ...]
) -> None:
    """Including one for the IP address."""
    async with receiving(good, TlsServer(authority, *names).context) as receiver:
        outcome = await send(receiver)

    assert outcome.status is None
    assert "certificate is rejected: Hostname mismatch" in (outcome.error or "")
    assert receiver.messages == []


async def test_an_untrusted_ca_is_rejected(authority: trustme.CA) -> None:
    """Nothing is sent."""
    async with receiving(good, TlsServer(trustme.CA(), HOST).context) as receiver:
        outcome = await send(receiver)

    assert outcome.status is None
    assert "certificate is rejected: " in (outcome.error or "")
    assert receiver.messages == []


async def test_an_expired_certificate_is_rejected(authority: trustme.CA) -> None:
    """With the reason."""
    old = TlsServer(authority, HOST, not_before=LONG_AGO, not_after=LONG_AGO.replace(month=2))
    async with receiving(good, old.context) as receiver:
        outcome = await send(receiver)

    assert outcome.error == "the host's certificate is rejected: certificate has expired"
    assert receiver.messages == []


async def test_a_server_without_tls_is_reported(authority: trustme.CA) -> None:
    """Although its URL has https."""
    async with receiving(good) as receiver:
        receiver.url = receiver.url.replace("http:", "https:")
        outcome = await send(receiver)

    assert outcome[:2] == (None, "the TLS handshake with the host failed")
    assert receiver.messages == []
