"""TCP ports of this machine."""

import random
import socket

import psutil

from headrace.errors import UserError

LOOPBACK = "127.0.0.1"
# Below the ephemeral ports (Linux: 32768 and up), so that no outgoing connection takes the port
# before the broker listens on it.
_PORTS = range(20000, 32000)
_ATTEMPTS = 100


def free_port(other_than: int | None = None) -> int:
    """Return a free port. Raises UserError after a hundred attempts."""
    for port in random.sample(_PORTS, _ATTEMPTS):
        if port != other_than and is_free(port):
            return port
    raise UserError(f"No free port found on {LOOPBACK} between {_PORTS.start} and {_PORTS.stop}.")


def is_free(port: int) -> bool:
    """Return True if a server can listen on `port`."""
    with socket.socket() as candidate:
        # Like servers: connections in TIME_WAIT do not occupy the port.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
            candidate.listen()
        except OSError:
            return False
    return True


def owner_of(port: int) -> str:
    """Return the name and id of the process that listens on `port`, or `another program`."""
    try:
        pids = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        ]
        pid = next(pid for pid in pids if pid)
        name = psutil.Process(pid).name()
    except (StopIteration, psutil.Error):
        return "another program"
    # The title of a role includes its options, which the system truncates.
    return f"{name.partition(' --')[0]} (process {pid})"
