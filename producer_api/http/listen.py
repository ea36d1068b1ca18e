"""The listening socket of a server, with precise error messages."""

import errno
import ipaddress
import os
import re
import socket

#: Connections that wait to be accepted.
_BACKLOG = 2048
_HOST_AND_PORT = re.compile(r"(?:\[[^]]*\]|[^:]+):\d*")
_NOT_IN_HOSTS = re.compile(r"[\s/@?#*\[\]\"']")
_HINT = "127.0.0.1 accepts connections of this machine only, 0.0.0.0 of others as well"


class ListenError(Exception):
    """The address cannot be listened on; the message names it and the reason."""

    def __init__(self, host: str, port: int, reason: str, *, is_in_use: bool = False) -> None:
        super().__init__(f"Cannot listen on host {host!r}, port {port}: {reason}")
        self.port = port
        self.is_in_use = is_in_use


def listen(host: str, port: int, *, shares_port: bool = False) -> socket.socket:
    """Return a socket that listens on an address or host name; raises `ListenError`.

    With `shares_port`, other processes of this user can listen on it as well (SO_REUSEPORT); the
    kernel distributes connections among them.
    """
    if reason := _invalid_host_reason(host):
        raise ListenError(host, port, reason)
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ListenError(host, port, f"there is no host of this name. {_HINT}") from None
    # If a name such as localhost has both IPv4 and IPv6 addresses, the IPv4 address.
    (family, *_, address) = min(infos, key=lambda info: info[0] != socket.AF_INET)
    ip = str(address[0])
    if _is_multicast_or_broadcast(ip):
        raise ListenError(host, port, f"{ip} is a multicast or broadcast address. {_HINT}")
    try:
        return socket.create_server(
            address, family=family, backlog=_BACKLOG, reuse_port=shares_port
        )
    except OSError as error:
        is_in_use = error.errno == errno.EADDRINUSE
        reason = _error_reason(error, ip, port)
        raise ListenError(host, port, reason, is_in_use=is_in_use) from None


def _invalid_host_reason(host: str) -> str | None:
    if not host.strip():
        return f"the host is empty. {_HINT}"
    if "://" in host:
        return "this is a URL; give the host alone, such as 127.0.0.1"
    if _HOST_AND_PORT.fullmatch(host):
        return "the host contains a port, which has its own option and setting"
    if host.startswith("["):
        return "write an IPv6 address without brackets, such as ::1"
    if _NOT_IN_HOSTS.search(host):
        return f"a host is a name or an address and nothing else. {_HINT}"
    return None


def _is_multicast_or_broadcast(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return ip.is_multicast or ip == ipaddress.ip_address("255.255.255.255")


def _error_reason(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is not an address of this machine. {_HINT}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied for port {port}; ports over 1023 need no privileges"
    return os.strerror(error.errno) if error.errno else str(error)
