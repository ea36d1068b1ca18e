"""TCP ports of this machine."""

import random
import socket

import psutil

from infra.errors import UserError

LOOPBACK = "127.0.0.1"
# Below the range that systems take the ports of outgoing connections from (Linux: 32768 and up), so
# that none of these can slip in between choosing a port and the broker's listening on it.
_CHOICE = range(20000, 32000)
_ATTEMPTS = 100


def free_port(other_than: int | None = None) -> int:
    """Return a port that nobody listens on. Raises UserError when a hundred tries find none."""
    for port in random.sample(_CHOICE, _ATTEMPTS):
        if port != other_than and is_free(port):
            return port
    raise UserError(f"No free port found on {LOOPBACK} between {_CHOICE.start} and {_CHOICE.stop}.")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` now."""
    with socket.socket() as candidate:
        # As servers do: a port whose last connections are only being wound up counts as free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
            candidate.listen()
        except OSError:
            return False
    return True


def owner_of(port: int) -> str:
    """Name the program that listens on `port`, as far as the system lets us know."""
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        ]
        pid = next(pid for pid in listening if pid)
        name = psutil.Process(pid).name()
    except (StopIteration, psutil.Error):
        return "another program"
    # A role's name is followed by its options, which the system cuts off somewhere.
    return f"{name.partition(' --')[0]} (process {pid})"
