"""Check whether a Kafka broker is ready, and why not."""

import socket
import struct

from headrace.local.broker.ports import LOOPBACK

_API_VERSIONS = 18
_CORRELATION_ID = 7
_HEADER = struct.Struct(">iih")  # size, correlation id, error code
#: The first bytes of a TLS alert and of a TLS handshake.
_TLS = (b"\x15\x03", b"\x16\x03")
_NOT_KAFKA = "the server is not a Kafka broker, or expects TLS"
_PROBLEMS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "the connection timed out"),
    (socket.gaierror, "the host name cannot be resolved"),
    (ConnectionRefusedError, "the connection is refused"),
    (ConnectionError, _NOT_KAFKA),
    (UnicodeError, "the host name is invalid"),
)


def is_ready(port: int, timeout_seconds: float) -> bool:
    """Return True if a broker on this machine responds to requests.

    A broker accepts connections before it has joined its cluster, but responds only after that.
    """
    return find_problem(LOOPBACK, port, timeout_seconds) is None


def find_problem(host: str, port: int, timeout_seconds: float) -> str | None:
    """Send an ApiVersions request; return why it fails, as a clause, or None if it succeeds."""
    try:
        header = _request_api_versions(host, port, timeout_seconds)
    except (OSError, UnicodeError) as error:
        return next((text for kind, text in _PROBLEMS if isinstance(error, kind)), str(error))
    if header.startswith(_TLS):
        return "the port expects TLS, and this connection is not encrypted"
    if len(header) == _HEADER.size and _HEADER.unpack(header)[1:] == (_CORRELATION_ID, 0):
        return None
    return _NOT_KAFKA


def _request_api_versions(host: str, port: int, timeout_seconds: float) -> bytes:
    """Return the first bytes of the response."""
    request = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION_ID, -1)  # version 0, no client id
    with socket.create_connection((host, port), timeout_seconds) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            return stream.read(_HEADER.size)
