"""Ask whether a Kafka broker answers, and find out why one does not."""

import socket
import struct

from infra.broker.ports import LOOPBACK

_API_VERSIONS = 18
_CORRELATION = 7
_HEAD = struct.Struct(">iih")  # size, correlation id, error code
#: The first bytes of a TLS record that is an alert, or a handshake.
_TLS = (b"\x15\x03", b"\x16\x03")
_NOT_KAFKA = "what listens there is no Kafka broker, or expects TLS"
_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "there is no answer in time"),
    (socket.gaierror, "the name is not found"),
    (ConnectionRefusedError, "the connection is refused"),
    (ConnectionError, _NOT_KAFKA),
    (UnicodeError, "the name is not valid"),
)


def answers(port: int, timeout_seconds: float) -> bool:
    """Return True if a broker on this machine answers.

    A broker takes requests only when it has joined its cluster, so from then on topics can be made
    and records be sent. An open port alone says less: it opens earlier, or is another program's.
    """
    return fault_of(LOOPBACK, port, timeout_seconds) is None


def fault_of(host: str, port: int, timeout_seconds: float) -> str | None:
    """Return why no broker answers ApiVersions, the first request of any client; None if one does.

    The reason is a clause such as `the connection is refused`.
    """
    try:
        head = _head_of_answer(host, port, timeout_seconds)
    except (OSError, UnicodeError) as error:
        return next((why for kind, why in _FAULTS if isinstance(error, kind)), str(error))
    if head.startswith(_TLS):
        return "the port expects TLS, and this connection is not encrypted"
    if len(head) == _HEAD.size and _HEAD.unpack(head)[1:] == (_CORRELATION, 0):
        return None
    return _NOT_KAFKA


def _head_of_answer(host: str, port: int, timeout_seconds: float) -> bytes:
    request = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, -1)  # version 0, no client id
    with socket.create_connection((host, port), timeout_seconds) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            return stream.read(_HEAD.size)
