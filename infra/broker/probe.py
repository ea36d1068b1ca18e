"""Ask whether a Kafka broker answers."""

import socket
import struct

from infra.broker.ports import LOOPBACK

_API_VERSIONS = 18
_CORRELATION = 7


def answers(port: int, timeout_seconds: float) -> bool:
    """Tell whether a broker on this machine answers ApiVersions, the first request of any client.

    A broker takes requests only when it has joined its cluster, so from then on topics can be made
    and records be sent. An open port alone says less: it opens earlier, or is another program's.
    """
    request = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, -1)  # version 0, no client id
    try:
        with socket.create_connection((LOOPBACK, port), timeout_seconds) as connection:
            connection.settimeout(timeout_seconds)
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                head = stream.read(10)  # size, correlation id, error code
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">ih", head[4:]) == (_CORRELATION, 0)  # noqa: PLR2004
