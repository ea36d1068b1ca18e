"""Time limits of connections: to send a request, to read a response, and between requests."""

import time
from collections.abc import Iterable
from typing import Any

from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

#: From the start of a connection, or the first byte of a request, to the request's last byte.
RECEIVE_SECONDS = 15.0
#: How long a client may read nothing while its response is pending.
READ_SECONDS = 15.0


def close_slow_connections(connections: Iterable[Any]) -> None:
    """Close connections that are too slow to send or to read; call it every second."""
    now = time.monotonic()
    since = now - RECEIVE_SECONDS
    slow = Rejected(RejectReason.REQUEST_TOO_SLOW, seconds=RECEIVE_SECONDS)
    for connection in list(connections):
        connection.close_if_receiving(since, slow)
        connection.abort_if_unread(now - READ_SECONDS)
        connection.close_if_idle(now)


def close_unfinished_connections(connections: Iterable[Any]) -> None:
    """Reject requests that are still being received, because the server stops."""
    for connection in list(connections):
        connection.close_if_receiving(time.monotonic(), Rejected(RejectReason.SHUTTING_DOWN))
