"""TCP ports of this machine."""

import random
import socket
import sys

import psutil

from headrace.errors import UserError

LOOPBACK = "127.0.0.1"
# Below the ephemeral ports (Linux: 32768 and up), so that no outgoing connection takes the port
# before the broker listens on it.
_PORTS = range(20000, 32000)
_ATTEMPTS = 100

#: The reserved ports of this process; the sockets hold the reservations until it exits.
_reservations: dict[int, socket.socket] = {}


def free_port() -> int:
    """Return a free port, which later calls do not return again while this process runs.

    On Linux, those of other processes neither: between the choice of a port and the start of its
    server, another headrace could choose the same. Raises UserError after a hundred attempts.
    """
    for port in random.sample(_PORTS, _ATTEMPTS):
        if is_free(port) and _reserve(port):
            return port
    raise UserError(f"No free port found on {LOOPBACK} between {_PORTS.start} and {_PORTS.stop}.")


def _reserve(port: int) -> bool:
    """Return False if this process, or on Linux another one, has reserved the port."""
    if port in _reservations:
        return False
    reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if sys.platform == "linux":
        try:
            # An abstract name: without a file, and released by the kernel when this process exits.
            reservation.bind(f"\0headrace-port-{port}")
        except OSError:
            reservation.close()
            return False
    _reservations[port] = reservation
    return True


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
