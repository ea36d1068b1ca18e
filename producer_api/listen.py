"""The socket that a server listens on, or a sentence that says why there is none."""

import errno
import ipaddress
import os
import re
import socket

#: Connections that the system keeps until we take them.
_BACKLOG = 2048
_HOST_AND_PORT = re.compile(r"(?:\[[^]]*\]|[^:]+):\d*")
_NOT_IN_HOSTS = re.compile(r"[\s/@?#*\[\]\"']")
_ALL = "127.0.0.1 is reached by this machine alone, 0.0.0.0 also by others"


class ListenError(Exception):
    """Nothing can listen at an address; the sentence names it and says why."""

    def __init__(self, host: str, port: int, reason: str, *, is_in_use: bool = False) -> None:
        super().__init__(f"Cannot listen on host {host!r}, port {port}: {reason}")
        self.port = port
        self.is_in_use = is_in_use


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address or name of this machine; `ListenError` if none."""
    if reason := _why_no_host(host):
        raise ListenError(host, port, reason)
    try:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ListenError(host, port, f"there is no host of this name. {_ALL}") from None
    # Of a name with addresses of both kinds, as localhost, that of IPv4.
    (family, *_, address) = min(known, key=lambda info: info[0] != socket.AF_INET)
    found = str(address[0])
    if _is_of_many(found):
        raise ListenError(host, port, f"{found} is no address of one machine. {_ALL}")
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        is_in_use = error.errno == errno.EADDRINUSE
        reason = _why_not(error, found, port)
        raise ListenError(host, port, reason, is_in_use=is_in_use) from None


def _why_no_host(host: str) -> str | None:
    if not host.strip():
        return f"the host is empty. {_ALL}"
    if "://" in host:
        return "this is a URL; give the host alone, such as 127.0.0.1"
    if _HOST_AND_PORT.fullmatch(host):
        return "the host holds a port, which has an option and a setting of its own"
    if host.startswith("["):
        return "write an IPv6 address without brackets, such as ::1"
    if _NOT_IN_HOSTS.search(host):
        return f"a host is a name or an address and nothing else. {_ALL}"
    return None


def _is_of_many(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return found.is_multicast or found == ipaddress.ip_address("255.255.255.255")


def _why_not(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is no address of this machine. {_ALL}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"the system does not allow it for port {port}; those over 1023 are for everyone"
    return os.strerror(error.errno) if error.errno else str(error)
